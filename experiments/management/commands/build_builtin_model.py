"""`manage.py build_builtin_model`: train the language model that ships, from its seed."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

SHIPPED = Path(__file__).resolve().parents[2] / "engine" / "builtin" / "model"


class Command(BaseCommand):
    help = "Train the built-in language model from its seed and write it in the transformers layout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write to; default: the one that ships")
        parser.add_argument("--tokens", type=int, help="training tokens; default: those of the model that ships")
        parser.add_argument("--documents", type=int, help="documents to generate; default: as shipped")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
        parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="for generating the corpus")

    def handle(self, *args: Any, **options: Any) -> None:
        from experiments.engine.builtin.build import BuildSettings, build  # noqa: PLC0415 - torch, only when asked for

        given = {"tokens": options["tokens"], "corpus_documents": options["documents"], "seed": options["seed"]}
        settings = BuildSettings(**{name: value for name, value in given.items() if value is not None})
        for step in build(settings, options["out"], options["device"], options["processes"]):
            held_out = "" if step.held_out_loss is None else f"  held-out {step.held_out_loss:.4f}"
            so_far = f"step {step.step}/{step.steps}  {step.tokens:,} tokens  {step.seconds:.0f} s"
            self.stdout.write(f"{so_far}  loss {step.loss:.4f}{held_out}")
        self.stdout.write(f"wrote {options['out']}")
