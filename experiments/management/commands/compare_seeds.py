"""`manage.py compare_seeds`: how many features two experiments share."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.engine.artifacts import ArtifactError
from experiments.models import Experiment
from experiments.services.experiments import experiment_by_id
from experiments.services.folders import experiment_folder
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Match the features of two finished experiments that differ in their seed, by the cosine of decoder rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("first", type=int, metavar="A", help="number of an experiment")
        parser.add_argument("second", type=int, metavar="B", help="number of its twin")
        parser.add_argument("--json", action="store_true", help="print the number as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            twins = [experiment_by_id(options[name]) for name in ("first", "second")]
            share = _shared(*twins)
        except (Problem, ArtifactError) as refusal:
            raise CommandError(str(refusal)) from None
        if options["json"]:
            self.stdout.write(json.dumps({"seed_stability": share}))
            return
        self.stdout.write(f"{share:.1%} of the features have a match of cosine above 0.7.")


def _shared(first: Experiment, second: Experiment) -> float:
    """Raises CommandError for experiments that have not finished, or read another place of another model."""
    from experiments.engine.sae import load_sae  # noqa: PLC0415 - imports torch
    from experiments.engine.seed_stability import matched_share  # noqa: PLC0415 - imports torch

    if {first.status, second.status} != {Experiment.Status.FINISHED}:
        raise CommandError("Both experiments must have finished.")
    one, other = (load_sae(experiment_folder(twin.pk)) for twin in (first, second))
    if (one.description.model, one.description.output_place) != (
        other.description.model,
        other.description.output_place,
    ):
        raise CommandError("Both experiments must reconstruct the same place of the same model.")
    return matched_share(one.weights.decoder, other.weights.decoder)
