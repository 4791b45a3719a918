"""`manage.py label_by_machine`: the features of an experiment are explained, tested and labelled, without a key."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.services.experiments import experiment_by_id
from features.models import MachineLabelling
from features.services.concept_agreement import agreement_report, report_as_json
from features.services.machine_labels import METHOD, cancel_labelling, label_features, new_labelling
from latentlens.accounts.services import installation_owner
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Label the features of a finished experiment by counting, and test each label on held-out text."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, help="number of the experiment")
        parser.add_argument("--json", action="store_true", help="print what came out as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            row = new_labelling(experiment_by_id(options["experiment"]), METHOD, installation_owner())
        except Problem as refusal:
            raise CommandError(refusal.message) from None
        try:
            label_features(row)
        except KeyboardInterrupt:
            cancel_labelling(row)
            raise CommandError("Cancelled; the labels that were written stay.") from None
        row.refresh_from_db()
        if row.status == MachineLabelling.Status.FAILED:
            raise CommandError(row.error)
        if options["json"]:
            names = ("features", "labelled", "convincing", "failures")
            found = {name: getattr(row, name) for name in names} | {"agreement": report_as_json(row)}
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(
            f"{row.labelled:,} of {row.features:,} live features have a label; {row.convincing:,} of them tell "
            "held-out windows apart with a balanced accuracy of 0.8 or more."
        )
        if report := agreement_report(row):
            self.stdout.write(
                f"Of {len(report.rows):,} planted concepts that a feature recovers, {report.told:,} are told by its "
                f"label (balanced accuracy of 0.8 or more on held-out windows; mean {report.mean:.2f})."
            )
        for reason, indices in row.failures.items():
            self.stdout.write(f"  {len(indices):,}: {reason}")
