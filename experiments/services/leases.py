"""Leases: a worker's right to write to an experiment, for a few seconds at a time.

The row is the truth. Every change of hands is one conditional UPDATE that repeats the state it expects, so two workers
can never both believe that an experiment is theirs, on SQLite as on Postgres. Whoever finds that an UPDATE changed no
row has lost the lease and must stop writing at once.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from experiments.models import Experiment
from experiments.services.queue import announce, enqueue
from experiments.services.workers import idle_experiment_workers
from latentlens.lib.logs import get_logger

LEASE = timedelta(seconds=20)
MAX_ATTEMPTS = 3
# A queued experiment whose message is this old gets another one, if there is a worker that could take it.
MESSAGE_PATIENCE = timedelta(seconds=30)

Status = Experiment.Status
# What an experiment that is trained beside others may be in.
UNTRAINED = ("", Experiment.Stage.CAPTURE, Experiment.Stage.TRAINING)
# What an experiment may be in while somebody holds its lease: finished where it is evaluated again.
HELD = (Status.RUNNING, Status.FINISHED)
_log = get_logger(__name__)


class LeaseLost(Exception):  # noqa: N818 - nothing went wrong here: somebody else owns the experiment now
    """The experiment is no longer ours: it was deleted, or another worker has claimed it."""


@dataclass(frozen=True)
class Orders:
    """What people want of a running experiment, and the number of its newest event."""

    sequence: int
    cancel: bool
    pause: bool


def new_owner() -> str:
    """A name that no other claim has: host, process, and a random part, as process numbers come round again."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def claim(experiment_id: int, owner: str, statuses: Iterable[str] = (Status.QUEUED,)) -> bool:
    """Makes `owner` the only one who may write to the experiment; False when it is not to be had.

    To be had is an experiment in one of `statuses`, and a running one whose lease ran out.
    """
    claimable = _to_be_had(statuses)
    return bool(Experiment.objects.filter(claimable, pk=experiment_id).update(**_changes_of_claim(owner)))


def claim_with_its_sweep(experiment_id: int, owner: str, statuses: Iterable[str] = (Status.QUEUED,)) -> list[int]:
    """Claims an experiment, and with it all of its sweep that can be trained beside it: one UPDATE, so that two workers
    do not share them out. Returns the ids of all that are claimed; none when the experiment is not to be had."""
    untrained = Experiment.objects.filter(_to_be_had(statuses), stage__in=UNTRAINED, sweep__isnull=False)
    sweep = untrained.filter(pk=experiment_id).values_list("sweep", flat=True).first()
    if sweep is None:
        return [experiment_id] if claim(experiment_id, owner, statuses) else []
    untrained.filter(sweep=sweep).update(**_changes_of_claim(owner))
    return list(Experiment.objects.filter(owner=owner).order_by("pk").values_list("pk", flat=True))


def claim_finished(experiment_id: int, owner: str) -> bool:
    """Makes `owner` the only one who may measure a finished experiment again; False when it is not to be had.

    It stays finished, so that people go on reading it, and when `owner` dies the lease runs out and nothing is lost.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    finished = Experiment.objects.filter(free, pk=experiment_id, status=Status.FINISHED)
    return bool(finished.update(owner=owner, lease_until=timezone.now() + LEASE))


def release_finished(experiment_id: int, owner: str, **changes: Any) -> None:
    """Ends the lease that `claim_finished` gave, and writes `changes` with it. Raises LeaseLost."""
    held = Experiment.objects.filter(pk=experiment_id, owner=owner, status=Status.FINISHED)
    if not held.update(owner="", lease_until=None, sequence=F("sequence") + 1, **changes):
        raise LeaseLost
    announce(experiment_id)


def _to_be_had(statuses: Iterable[str]) -> Q:
    now = timezone.now()
    abandoned = Q(status=Status.RUNNING, lease_until__lt=now, attempts__lt=MAX_ATTEMPTS, pause_requested=False)
    return Q(status__in=list(statuses)) | abandoned


def _changes_of_claim(owner: str) -> dict[str, Any]:
    now = timezone.now()
    return {
        "status": Status.RUNNING,
        "owner": owner,
        "lease_until": now + LEASE,
        "attempts": F("attempts") + 1,
        "started_at": Coalesce(F("started_at"), now),
        "finished_at": None,
        "progress_note": "starting",
        "error": "",
        "sequence": F("sequence") + 1,
    }


def renew(experiment_id: int, owner: str, *, events: int = 0, **changes: Any) -> Orders:
    """Renews the lease and writes `changes` in the same UPDATE, reserving `events` sequence numbers up to the newest.

    Call it inside the transaction that also writes what the events are. Raises LeaseLost.
    """
    with transaction.atomic():
        changed = Experiment.objects.filter(pk=experiment_id, owner=owner, status__in=HELD).update(
            lease_until=timezone.now() + LEASE, sequence=F("sequence") + events, **changes
        )
        if not changed:
            raise LeaseLost
        orders = Experiment.objects.values_list("sequence", "cancel_requested", "pause_requested").get(pk=experiment_id)
    return Orders(*orders)


def give_back(experiment_id: int, owner: str) -> None:
    """Queues the experiment again, for the next free worker: this one is shutting down. It counts as no attempt."""
    changes = {"attempts": Greatest(F("attempts") - 1, 0), "progress_note": "Waiting for a worker to go on."}
    _let_go(experiment_id, owner, Status.QUEUED, **changes)
    enqueue(experiment_id)


def conclude(experiment_id: int, owner: str, status: str, **changes: Any) -> None:
    """Ends the lease with a final (or paused) status. Raises LeaseLost when it was lost before."""
    if status != Status.PAUSED:
        changes |= {"finished_at": timezone.now()}
    _let_go(experiment_id, owner, status, seconds_left=None, cancel_requested=False, **changes)


def _let_go(experiment_id: int, owner: str, status: str, **changes: Any) -> None:
    changed = Experiment.objects.filter(pk=experiment_id, owner=owner, status=Status.RUNNING).update(
        status=status,
        owner="",
        lease_until=None,
        pause_requested=False,
        tokens_per_second=None,
        sequence=F("sequence") + 1,
        **changes,
    )
    if not changed:
        raise LeaseLost
    announce(experiment_id)


def reconcile() -> None:
    """Brings every experiment on its way again that a crash, or a lost message, has left lying; run it anywhere."""
    now = timezone.now()
    # Who still renews one of its leases lives: a worker that trains a whole sweep loses all of it or nothing.
    lively = Experiment.objects.filter(owner=OuterRef("owner"), status=Status.RUNNING, lease_until__gte=now)
    for experiment in Experiment.objects.filter(~Exists(lively), status=Status.RUNNING, lease_until__lt=now):
        _settle_abandoned(experiment)
    if idle_experiment_workers():
        overdue = Q(enqueued_at=None) | Q(enqueued_at__lt=timezone.now() - MESSAGE_PATIENCE)
        for experiment_id in Experiment.objects.filter(overdue, status=Status.QUEUED).values_list("pk", flat=True):
            enqueue(experiment_id)


def _settle_abandoned(experiment: Experiment) -> None:
    """One experiment whose worker died: what was asked of it happens, or it is queued again, or it has failed."""
    status, changes = _after_abandonment(experiment)
    settled = Experiment.objects.filter(
        pk=experiment.pk, status=Status.RUNNING, owner=experiment.owner, lease_until__lt=timezone.now()
    ).update(
        status=status,
        owner="",
        lease_until=None,
        cancel_requested=False,
        pause_requested=False,
        tokens_per_second=None,
        seconds_left=None,
        sequence=F("sequence") + 1,
        **changes,
    )
    if settled:
        _log.warning("lease ran out", experiment=experiment.pk, owner=experiment.owner, status=status)
        announce(experiment.pk)
        if status == Status.QUEUED:
            enqueue(experiment.pk)


def _after_abandonment(experiment: Experiment) -> tuple[str, dict[str, Any]]:
    if experiment.cancel_requested:
        return Status.CANCELLED, {"finished_at": timezone.now()}
    if experiment.pause_requested:
        return Status.PAUSED, {}
    if experiment.attempts < MAX_ATTEMPTS:
        return Status.QUEUED, {"progress_note": "Its worker died; it goes on from the last checkpoint."}
    where = f" in the stage “{experiment.stage}”" if experiment.stage else ""
    error = (
        f"The worker died {experiment.attempts} times{where}, most likely because memory ran out: "
        "resume with more memory free, or start a smaller experiment."
    )
    return Status.FAILED, {"finished_at": timezone.now(), "error": error}
