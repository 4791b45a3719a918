"""How a command of the command line names a corpus."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandError

from experiments.models import Corpus
from experiments.services import corpora


def add_corpus(parser: ArgumentParser) -> None:
    """The options that `corpus_named` reads."""
    parser.add_argument("--corpus", default="builtin", help="builtin (default), a FILE, or hub:ID")
    parser.add_argument("--column", default="", help="where a table or a data set keeps its text")
    parser.add_argument("--configuration", default="", help="of a hub data set")
    parser.add_argument("--split", default="", help="of a hub data set (default train)")
    parser.add_argument("--chat", action="store_true", help="the column holds conversations, not text")


def corpus_named(options: dict[str, Any]) -> Corpus:
    """The corpus of `corpus` (builtin, hub:ID or a file), `column`, `configuration`, `split` and `chat`.

    A file becomes a corpus, as if it had been uploaded. Raises CommandError and Refused.
    """
    text, chat = options["corpus"], options["chat"]
    if text == "builtin":
        return corpora.builtin_corpus()
    if text.startswith("hub:"):
        return corpora.add_hub_corpus(text, options["configuration"], options["split"], options["column"], chat=chat)
    try:
        with Path(text).open("rb") as file:
            return corpora.add_upload(File(file, name=Path(text).name), column=options["column"], chat=chat)
    except OSError as error:
        raise CommandError(f"The corpus {text} cannot be read ({error.strerror}).") from None
