"""`manage.py export_sae`: a finished SAE in the files of another tool."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.engine.formats import EXPORTS
from experiments.services.experiments import experiment_by_id
from experiments.services.exports import export_sae
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Write the SAE of a finished experiment into a folder, as another tool would save it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, metavar="EXPERIMENT", help="number of the experiment")
        parser.add_argument("target", metavar="TARGET", help="a folder, made if need be; it must not hold such files")
        parser.add_argument("--format", required=True, help=f"one of {', '.join(EXPORTS)}")

    def handle(self, *args: Any, **options: Any) -> None:
        target, name = Path(options["target"]), options["format"]
        try:
            experiment = experiment_by_id(options["experiment"])
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise CommandError(f"{target} is there already and is not an empty folder: name another one.")
            target.mkdir(parents=True, exist_ok=True)
            for path in export_sae(experiment, name, target):
                self.stdout.write(str(path))
        except Problem as refusal:
            raise CommandError(refusal.message) from None
        except OSError as error:
            raise CommandError(f"{target} cannot be written ({error.strerror}).") from None
