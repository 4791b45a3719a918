"""`manage.py replay`: trains again what was trained, and says whether it came out the same."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.failures import explain
from experiments.progress_bar import ProgressBar
from experiments.replaying import StepRange, replay_experiment
from experiments.services.experiments import experiment_by_id
from latentlens.lib.long_work import prepare_for_long_work
from latentlens.lib.problems import Problem

_log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Train an experiment once more and compare its measurements; exit code 0 when equal, 1 when not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, metavar="EXPERIMENT", help="number of the experiment")
        parser.add_argument("--from", dest="first", type=int, default=1, metavar="STEP", help="first step (default 1)")
        parser.add_argument("--to", dest="last", type=int, metavar="STEP", help="last step (default: the very last)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            experiment = experiment_by_id(options["experiment"])
            steps = _step_range(options["first"], options["last"], experiment.config["training"])
            prepare_for_long_work()
            found = replay_experiment(experiment, steps, ProgressBar(sys.stderr).show)
        except (CommandError, Problem) as refusal:
            raise CommandError(str(refusal), returncode=2) from None
        except Exception as error:  # the person is told in a sentence; the log has the rest
            _log.exception("replay failed")
            raise CommandError(explain(error, "replay"), returncode=2) from None
        words = f"steps {steps.first:,} to {steps.last:,}, {found.values:,} values compared"
        if found.difference is None:
            self.stdout.write(f"Equal: {words}.")
            return
        at = found.difference
        raise CommandError(
            f"Different: at step {at.step:,}, {at.name} was {at.stored!r} and is {at.replayed!r} now ({words})."
        )


def _step_range(first: int, last: int | None, training: dict[str, Any]) -> StepRange:
    steps = max(1, training["tokens"] // training["batch_tokens"])
    last = steps if last is None else last
    if not 1 <= first <= last <= steps:
        raise CommandError(f"The steps of this experiment are 1 to {steps:,}; --from must not be after --to.")
    return StepRange(first, last)
