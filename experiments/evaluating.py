"""Evaluates a finished experiment once more, by the code that evaluates a new one, and stores what it finds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from experiments.engine.records import Record, StageFinished
from experiments.models import Experiment
from experiments.progress import finite
from experiments.runner import job_of
from latentlens.lib.problems import Refused


def evaluate_experiment(
    experiment: Experiment, observe: Callable[[Record], None], *, variants: bool = False
) -> dict[str, Any]:
    """Returns the new quality numbers and keeps them. Raises Refused for an experiment that has not finished."""
    from experiments.engine import pipeline  # noqa: PLC0415 - imports torch

    if experiment.status != Experiment.Status.FINISHED:
        raise Refused("Only a finished experiment can be evaluated again.")
    job = job_of(experiment)
    job = replace(job, config=replace(job.config, variants=variants or job.config.variants))
    quality: dict[str, Any] = {}
    with closing(pipeline.evaluate(job)) as records:  # type: ignore[type-var]  # a generator, told as an iterator
        for record in records:
            observe(record)
            if isinstance(record, StageFinished):
                quality = finite(record.values)
    Experiment.objects.filter(pk=experiment.pk).update(quality=quality)
    return quality
