"""The queue operations on the table: put, claim, renew, release, discard. Each is one short transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from latentlens.broker.models import Message
from latentlens.lib.logs import get_logger

LEASE_SECONDS = 15.0
# A message that took its worker down this often is not given to another one.
MAXIMUM_DELIVERIES = 5
_log = get_logger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A message that now belongs to the claimer, until its lease runs out."""

    pk: int
    queue: str
    payload: dict[str, Any]
    deliveries: int


def put(queue: str, payload: dict[str, Any]) -> None:
    """Appends a message. Inside a transaction it becomes visible with the transaction."""
    Message.objects.create(queue=queue, payload=json.dumps(payload))


def claim(queues: Collection[str], owner: str) -> Claimed | None:
    """The oldest free message of `queues`, leased to `owner`; None if there is none.

    Of several claimers one wins: the UPDATE repeats the lease that the SELECT saw.
    """
    now = time.time()
    free = Message.objects.filter(queue__in=queues, lease_until__lt=now)
    for row in free.order_by("id")[:3]:
        if row.deliveries >= MAXIMUM_DELIVERIES:
            _log.error("message dropped", queue=row.queue, deliveries=row.deliveries, hint="it stopped every worker")
            row.delete()
            continue
        taken = Message.objects.filter(pk=row.pk, lease_until=row.lease_until, owner=row.owner).update(
            owner=owner, lease_until=now + LEASE_SECONDS, deliveries=F("deliveries") + 1
        )
        if taken:
            return Claimed(row.pk, row.queue, json.loads(row.payload), row.deliveries + 1)
    return None


def renew(pks: Collection[int], owner: str) -> None:
    Message.objects.filter(pk__in=pks, owner=owner).update(lease_until=time.time() + LEASE_SECONDS)


def release(pks: Collection[int], owner: str) -> None:
    """Gives messages back: they are free at once, at the place in the queue that they had."""
    Message.objects.filter(pk__in=pks, owner=owner).update(lease_until=0.0, owner="")


def discard(pk: int, owner: str) -> None:
    """Removes a message that is done. One that was meanwhile given to somebody else stays."""
    Message.objects.filter(pk=pk, owner=owner).delete()


def waiting(queue: str) -> int:
    return Message.objects.filter(queue=queue).count()


def purge(queue: str) -> int:
    return Message.objects.filter(queue=queue).delete()[0]
