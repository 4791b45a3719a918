"""Evaluates a finished experiment once more, by the code that evaluates a new one, and stores what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

from experiments.engine.job import Job
from experiments.engine.records import Record, StageFinished
from experiments.lease_keeper import LeaseKeeper
from experiments.models import Experiment
from experiments.progress import Journal, finite
from experiments.runner import job_of
from experiments.services.leases import LeaseLost, claim_finished, new_owner, release_finished
from latentlens.lib.problems import Conflict, Refused


def evaluate_experiment(
    experiment: Experiment, observe: Callable[[Record], None], *, variants: bool = False
) -> dict[str, Any]:
    """Returns the new quality numbers and keeps them; until then the experiment is leased to this process.

    Raises Refused for an experiment that has not finished, Conflict where somebody else holds or has taken the lease.
    """
    quality: dict[str, Any] = {}
    with _leased(experiment.pk) as journal:
        job = job_of(experiment)
        job = replace(job, config=replace(job.config, variants=variants or job.config.variants))
        for record in _records(job):
            journal.keep_lease()
            observe(record)
            if isinstance(record, StageFinished):
                quality = finite(record.values)
        journal.is_closed = True
        release_finished(journal.experiment_id, journal.owner, quality=quality)
    return quality


def _records(job: Job) -> Iterator[Record]:
    from experiments.engine import pipeline  # noqa: PLC0415 - imports torch

    with closing(pipeline.evaluate(job)) as records:  # type: ignore[type-var]  # a generator, told as an iterator
        yield from records


@contextmanager
def _leased(experiment_id: int) -> Iterator[Journal]:
    """Holds the lease of a finished experiment; whoever has not released it at the end changes nothing."""
    journal = Journal(experiment_id, new_owner())
    if not claim_finished(experiment_id, journal.owner):
        raise _not_to_be_had(experiment_id)
    try:
        with LeaseKeeper(journal):
            yield journal
    except LeaseLost:
        raise Conflict(
            f"Experiment {experiment_id} was deleted or taken by another process meanwhile; nothing was stored."
        ) from None
    except BaseException:  # also Ctrl-C: the next evaluation need not wait until the lease runs out
        with suppress(LeaseLost):
            release_finished(experiment_id, journal.owner)
        raise


def _not_to_be_had(experiment_id: int) -> Refused | Conflict:
    experiment = Experiment.objects.get(pk=experiment_id)
    if experiment.status == Experiment.Status.FINISHED:
        return Conflict(f"Experiment {experiment_id} is being evaluated by {experiment.holder}: try again after that.")
    held = f" ({experiment.holder})" if experiment.is_held else ""
    state = experiment.get_status_display().lower()
    return Refused(f"Experiment {experiment_id} is {state}{held}; only a finished experiment can be evaluated again.")
