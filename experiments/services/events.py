"""What is new about an experiment since an event number: the log of its metrics, and its present state.

Metrics are a log: who says which was the newest they saw misses nothing. The experiment itself is a snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from experiments.models import Experiment, Metric

LARGEST_SEQUENCE = 2**63 - 1
MOST_METRICS = 5_000


@dataclass(frozen=True)
class News:
    """Everything after an event number. `is_complete` is False when there are more metrics than fit one answer."""

    experiment: Experiment
    metrics: list[Metric]
    is_complete: bool

    @property
    def newest(self) -> int:
        """The event number to ask from next."""
        return self.experiment.sequence if self.is_complete else self.metrics[-1].sequence


def newest_event(experiment_id: int) -> int | None:
    """The number of the newest event, or None when there is no such experiment: a cheap question, asked often."""
    return Experiment.objects.filter(pk=experiment_id).values_list("sequence", flat=True).first()


def news_since(experiment_id: int, since: int, limit: int = MOST_METRICS) -> News | None:
    """The experiment, and its metrics after event `since` up to its newest; None when it is gone."""
    experiment = Experiment.objects.select_related("corpus").filter(pk=experiment_id).first()
    if experiment is None:
        return None
    metrics = metrics_since(experiment_id, since, up_to=experiment.sequence)[: limit + 1]
    return News(experiment, list(metrics)[:limit], is_complete=len(metrics) <= limit)


def metrics_since(experiment_id: int, since: int, up_to: int = LARGEST_SEQUENCE) -> QuerySet[Metric]:
    """The metrics after event `since`, in order."""
    within = Metric.objects.filter(experiment_id=experiment_id, sequence__gt=since, sequence__lte=up_to)
    return within.order_by("sequence")
