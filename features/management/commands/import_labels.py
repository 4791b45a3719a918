"""`manage.py import_labels`: labels from a file, after a dry run."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from experiments.services.experiments import experiment_by_id
from features.models import LabelImport
from features.services import label_files
from latentlens.accounts.services import installation_owner
from latentlens.lib.problems import Problem

_COUNTS = ("new", "same", "changed", "conflicting", "unknown", "refused")


class Command(BaseCommand):
    help = "Read labels from a file (csv, json, jsonl, parquet, h5) into an experiment; the owner is who imports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, help="number of the experiment")
        parser.add_argument("file", type=Path, help="the file to read")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--take-conflicting", action="store_true", help="replace labels that changed here too")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            experiment = experiment_by_id(options["experiment"])
            with options["file"].open("rb") as file:
                row = label_files.new_import(experiment, File(file, options["file"].name), installation_owner())
        except (Problem, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        label_files.check_import(row)
        self._tell(row)
        if options["dry_run"] or row.status == LabelImport.Status.FAILED:
            label_files.discard_import(row)
            return
        row.take_conflicting, row.status = options["take_conflicting"], LabelImport.Status.APPLYING
        row.save(update_fields=["take_conflicting", "status"])
        label_files.apply_import(row)
        self.stdout.write(f"Written: {row.report['new']:,} new labels, {row.report['changed']:,} changed.")

    def _tell(self, row: LabelImport) -> None:
        if row.status == LabelImport.Status.FAILED:
            raise CommandError(row.error)
        self.stdout.write(", ".join(f"{row.report[name]:,} {name}" for name in _COUNTS) + ".")
        for problem in row.report["problems"]:
            self.stdout.write(f"  {problem}")
