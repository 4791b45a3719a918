"""`manage.py export_labels`: labels, or features with their labels, into a file."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.services.experiments import experiment_by_id
from features.services import label_files
from features.services.gallery import GalleryFilter
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Write the labels of an experiment into a file; its ending says the format (csv, json, jsonl, parquet, h5)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, help="number of the experiment")
        parser.add_argument("file", type=Path, help="where to write; an existing file is replaced")
        parser.add_argument("--features", action="store_true", help="a row for each feature instead of each label")
        parser.add_argument("--token", help="only features with this top token")
        parser.add_argument("--concept", help="only features that find this planted concept")

    def handle(self, *args: Any, **options: Any) -> None:
        contents = "features" if options["features"] else "labels"
        try:
            experiment = experiment_by_id(options["experiment"])
            format = label_files.format_of(options["file"].name)
            wanted = GalleryFilter(token=options["token"], concept=options["concept"])
            made = label_files.export(experiment.pk, wanted, contents, format)
            with made.file, options["file"].open("wb") as target:
                shutil.copyfileobj(made.file, target)
        except (Problem, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"The {contents} of experiment {experiment.pk} are in {options['file']}.")
