"""Saves what the engine yields: one transaction per batch of records, a few times a second, lease renewed with it."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

from django.db import transaction

from experiments.engine.records import (
    Checkpointed,
    Measurement,
    ModelLoaded,
    Progress,
    Record,
    ResourcesUsed,
    StageFinished,
)
from experiments.models import Experiment, Metric
from experiments.services.leases import LeaseLost, Orders, renew
from experiments.services.queue import announce

SECONDS_BETWEEN_WRITES = 0.25
SECONDS_BETWEEN_RENEWALS = 5.0
_STAGES = list(Experiment.Stage)


class Journal:
    """The rows of one claimed experiment, as seen by its runner: records go in, people's orders come out.

    Raises LeaseLost from `take` and `save` once the experiment belongs to somebody else.
    """

    def __init__(self, experiment_id: int, owner: str) -> None:
        self.experiment_id = experiment_id
        self.owner = owner
        self.orders = Orders(sequence=0, cancel=False, pause=False)
        self.saved_at = -math.inf
        self.lease_lost = False
        self.is_closed = False
        self._changes: dict[str, Any] = {}
        self._measurements: list[Measurement] = []

    @property
    def is_open(self) -> bool:
        """Is there still a lease to renew?"""
        return not self.lease_lost and not self.is_closed

    def take(self, record: Record) -> None:
        """Notes a record; writes when the last write is long enough ago, or the record is one that must not be lost."""
        if self.lease_lost:
            raise LeaseLost
        if isinstance(record, Measurement):
            self._measurements.append(record)
        elif isinstance(record, ResourcesUsed):
            self._changes["resources"] = self._resources_with(record)
        else:
            self._changes |= changes_by(record)
        must_not_be_lost = isinstance(record, Checkpointed | StageFinished | ModelLoaded)
        if must_not_be_lost or time.monotonic() - self.saved_at >= SECONDS_BETWEEN_WRITES:
            self.save()

    def keep_lease(self) -> None:
        """Renews the lease when that is due, for work whose records are not for this row."""
        if self.lease_lost:
            raise LeaseLost
        if time.monotonic() - self.saved_at >= SECONDS_BETWEEN_RENEWALS:
            self.save()

    def save(self) -> None:
        """Writes everything noted so far, renews the lease and reads the orders, in one transaction."""
        with transaction.atomic():
            count = len(self._measurements)
            self.orders = renew(self.experiment_id, self.owner, events=count + 1, **self._changes)
            first = self.orders.sequence - count
            rows = [self._metric(first + offset, found) for offset, found in enumerate(self._measurements)]
            # After a resume some steps are measured a second time; the first measurement stays.
            Metric.objects.bulk_create(rows, ignore_conflicts=True)
        announce(self.experiment_id)
        self._changes, self._measurements = {}, []
        self.saved_at = time.monotonic()

    def _resources_with(self, found: ResourcesUsed) -> dict[str, Any]:
        """What is known of all stages: earlier ones may have ended in another process, or just now."""
        known: dict[str, Any] | None = self._changes.get("resources")
        if known is None:
            known = Experiment.objects.values_list("resources", flat=True).get(pk=self.experiment_id)
        values = asdict(found)
        return {**(known or {}), values.pop("stage"): values}

    def _metric(self, sequence: int, found: Measurement) -> Metric:
        return Metric(
            experiment_id=self.experiment_id,
            sequence=sequence,
            step=found.step,
            tokens=found.tokens,
            values=finite(found.values),
        )


def changes_by(record: Record) -> dict[str, Any]:
    """The columns that a record changes (measurements have their own table)."""
    match record:
        case Progress():
            return {
                "stage": record.stage,
                "step": record.step,
                "steps": record.steps,
                "tokens": record.tokens,
                "tokens_per_second": finite(record.tokens_per_second),
                "seconds_left": finite(record.seconds_left),
                "progress_note": record.note[:200],
            }
        case Checkpointed():
            return {"checkpoint": record.name, "checkpoint_sha256": record.sha256}
        case ModelLoaded():
            return {"model_revision": record.revision} if record.revision else {}
        case StageFinished():
            return _after_stage(record)
        case _:
            return {}


def finite(value: Any) -> Any:
    """The same JSON value with NaN and infinities as null, which JSON and databases have no other word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _after_stage(record: StageFinished) -> dict[str, Any]:
    """The next stage begins, so that a resume does not repeat this one; what it found out is kept."""
    following = _STAGES[_STAGES.index(Experiment.Stage(record.stage)) + 1]
    changes: dict[str, Any] = {"stage": following, "step": 0, "steps": 0, "progress_note": ""}
    changes |= {"tokens_per_second": None, "seconds_left": None}
    if record.stage == "capture":
        changes["captured"] = finite(record.values)
    if record.stage == "training":
        changes["weights_sha256"] = record.values.get("weights_sha256", "")
    if record.stage == "evaluation":
        changes["quality"] = finite(record.values)
    return changes
