"""`manage.py import_sae`: an SAE of another tool becomes an experiment, in the foreground."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from experiments.corpus_options import add_corpus, corpus_named
from experiments.management.commands import train
from experiments.models import Experiment
from experiments.services.imports import OF_IMPORTS, ImportRequest, store_import
from experiments.setting_options import add_settings, settings_given


class Command(train.Command):
    help = (
        "Make an experiment of an SAE that another tool has trained: FOLDER holds its config and its weights as "
        "safetensors. It is evaluated and harvested as one that was trained here. What is left out is as its files "
        "say. Ctrl-C pauses the experiment; train --resume goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", help="cfg.json (or config.json) and a .safetensors file")
        parser.add_argument("--model", default="", help="builtin, a folder of MODELS_DIR, or a hub id")
        parser.add_argument("--revision", default="", help="branch, tag or commit of a hub model")
        add_corpus(parser)
        parser.add_argument("--name", default="", help="what the experiment is called")
        parser.add_argument("--json", action="store_true", help="print what the API answers, and nothing else")
        add_settings(parser, OF_IMPORTS)

    def chosen(self, options: dict[str, Any]) -> Experiment:
        folder = Path(options["folder"])
        if not folder.is_dir():
            raise CommandError(f"There is no folder {folder}.")
        texts = {name: options[name] for name in ("name", "revision")}
        corpus = corpus_named(options)
        request = ImportRequest(options["model"], corpus=corpus.pk, **texts, **settings_given(options))
        return store_import(folder, request, Experiment.Status.PAUSED)
