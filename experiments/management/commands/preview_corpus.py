"""`manage.py preview_corpus`: the first windows of a corpus as a model would read them, in the terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import OperationalError, ProgrammingError

from experiments.corpus_options import corpus_named
from experiments.models import TokenPreview
from experiments.schemas import PreviewOut
from experiments.services.previews import READ, ask_for_preview, preview_by_id, request_of
from experiments.setting_options import add_settings, settings_given
from experiments.token_previews import preview
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Show the first windows of a corpus as tokens of a model, and about how many tokens it has."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="builtin, a folder of MODELS_DIR, or a hub id")
        parser.add_argument("corpus", help="builtin, a FILE, or hub:ID")
        parser.add_argument("--revision", default="", help="branch, tag or commit of a hub model")
        parser.add_argument("--column", default="", help="where a table or a data set keeps its text")
        parser.add_argument("--configuration", default="", help="of a hub data set")
        parser.add_argument("--split", default="", help="of a hub data set (default train)")
        parser.add_argument("--chat", action="store_true", help="the column holds conversations, not text")
        parser.add_argument("--json", action="store_true", help="print what the API answers, and nothing else")
        add_settings(parser, READ)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = _made_here(options)
        except Problem as problem:
            raise CommandError("\n".join(problem.fields.values()) or problem.message) from None
        except (OperationalError, ProgrammingError):
            raise CommandError("The database is not ready: run `manage.py migrate` first.") from None
        if made.error:
            raise CommandError(made.error)
        if options["json"]:
            self.stdout.write(json.dumps(PreviewOut.from_orm(made).dict(), ensure_ascii=False))
            return
        windows = made.result["windows"] if made.result else []
        for number, window in enumerate(windows, start=1):
            self.stdout.write(f"Window {number}")
            self.stdout.write("".join(_shown(token) for token in window))
        about = f"about {made.estimated_tokens:,} tokens" if made.estimated_tokens else "without a known end"
        self.stdout.write(f"{made.corpus}: {about}, {made.tokens_per_character:.3f} tokens per character")


def _made_here(options: dict[str, Any]) -> TokenPreview:
    named = {"model": options["model"], "revision": options["revision"], "corpus": corpus_named(options).pk}
    asked = ask_for_preview(request_of(named | settings_given(options)))
    if asked.answered_at is None:
        preview(asked.pk)
    return preview_by_id(asked.pk)


def _shown(token: dict[str, Any]) -> str:
    """Document boundaries as ¶, special tokens in brackets, the edges of tokens as thin bars."""
    if token["padding"]:
        return "·"
    return ("\n¶ " if token["begins"] else "") + (f"[{token['text']}]" if token["special"] else f"{token['text']}|")
