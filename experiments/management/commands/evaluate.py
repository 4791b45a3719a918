"""`manage.py evaluate`: the quality numbers of a finished experiment, measured again."""

from __future__ import annotations

import json
import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.evaluating import evaluate_experiment
from experiments.failures import explain
from experiments.progress_bar import ProgressBar
from experiments.services.experiments import experiment_by_id
from latentlens.lib.problems import Problem

_log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Evaluate a finished experiment again and store its quality numbers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, metavar="EXPERIMENT", help="number of the experiment")
        parser.add_argument("--variants", action="store_true", help="also as other tools define the numbers")
        parser.add_argument("--json", action="store_true", help="print every number as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            experiment = experiment_by_id(options["experiment"])
            quality = evaluate_experiment(experiment, ProgressBar(sys.stderr).show, variants=options["variants"])
        except Problem as refusal:
            raise CommandError(str(refusal)) from None
        except Exception as error:  # the person is told in a sentence; the log has the rest
            _log.exception("evaluation failed")
            raise CommandError(explain(error, "evaluation")) from None
        if options["json"]:
            self.stdout.write(json.dumps(quality, ensure_ascii=False))
            return
        for name, number in (quality | quality.get("variants", {})).items():
            if isinstance(number, int | float):
                low, high = quality["intervals"].get(name, (None, None))
                interval = "" if low is None else f"  95 % {low:,.4f} to {high:,.4f}"
                self.stdout.write(f"  {name:<40} {number:>14,.4f}{interval}")
