"""The experiment that a new installation begins with, so that the first page shows an SAE being trained."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from experiments.models import Experiment, FirstStart
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import store_experiment
from experiments.services.queue import enqueue

DEMO = ExperimentRequest(
    name="Demo: what the built-in model knows",
    model="builtin",
    layer=2,
    site="resid_post",
    n_features=1_280,
    k=5,  # found best: docs/builtin.md
    training_tokens=1_000_000,
    seed=0,
    splice_tokens=16_384,  # the demo is to be finished while somebody watches
    harvest_tokens=300_000,
)


def queue_demo_once() -> Experiment | None:
    """Queues the demo on the very first start of this database; never again, also when it has been deleted since."""
    try:
        with transaction.atomic():
            FirstStart.objects.create()
            experiment = store_experiment(DEMO, Experiment.Status.QUEUED, is_demo=True)
            enqueue(experiment.pk)
    except IntegrityError:
        return None
    return experiment
