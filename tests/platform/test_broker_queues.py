"""The table as a queue: order, leases, and what happens when two want the same message."""

from __future__ import annotations

import pytest

from latentlens.broker import queues
from latentlens.broker.models import Message

pytestmark = pytest.mark.django_db


def _expire_leases() -> None:
    Message.objects.update(lease_until=1.0)


def test_messages_come_in_the_order_they_were_put() -> None:
    for number in range(3):
        queues.put("lens", {"number": number})
    taken = [queues.claim(["lens"], "me") for _ in range(3)]
    assert [claimed.payload["number"] for claimed in taken if claimed] == [0, 1, 2]
    assert queues.claim(["lens"], "me") is None


def test_a_claim_looks_only_into_its_queues() -> None:
    queues.put("experiments", {})
    assert queues.claim(["lens", "features"], "me") is None
    claimed = queues.claim(["lens", "experiments"], "me")
    assert claimed is not None
    assert claimed.queue == "experiments"


def test_a_message_returns_when_its_lease_ran_out() -> None:
    queues.put("lens", {})
    first = queues.claim(["lens"], "killed")
    assert queues.claim(["lens"], "other") is None
    _expire_leases()
    second = queues.claim(["lens"], "other")
    assert first is not None
    assert second is not None
    assert (second.pk, second.deliveries) == (first.pk, 2)


def test_who_lost_its_lease_can_neither_renew_nor_discard() -> None:
    queues.put("lens", {})
    claimed = queues.claim(["lens"], "slow")
    assert claimed is not None
    _expire_leases()
    assert queues.claim(["lens"], "other") is not None
    queues.renew([claimed.pk], "slow")
    queues.discard(claimed.pk, "slow")
    queues.release([claimed.pk], "slow")
    row = Message.objects.get()
    assert row.owner == "other"
    assert row.lease_until > 1.0


def test_a_claim_that_lost_the_race_takes_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    queues.put("lens", {"number": 1})
    queues.put("lens", {"number": 2})
    first = Message.objects.order_by("id").first()
    assert first is not None
    original = queues.F

    def another_claims_first(name: str) -> object:
        """Runs between the SELECT and the UPDATE of the claim."""
        Message.objects.filter(pk=first.pk, owner="").update(owner="faster", lease_until=2e10)
        return original(name)

    monkeypatch.setattr(queues, "F", another_claims_first)
    claimed = queues.claim(["lens"], "me")
    assert claimed is not None
    assert claimed.payload == {"number": 2}


def test_renewing_and_releasing() -> None:
    queues.put("lens", {})
    claimed = queues.claim(["lens"], "me")
    assert claimed is not None
    Message.objects.update(lease_until=1.0)
    queues.renew([claimed.pk], "me")
    assert queues.claim(["lens"], "other") is None
    queues.release([claimed.pk], "me")
    assert queues.claim(["lens"], "other") is not None


def test_a_message_that_stops_every_worker_is_dropped() -> None:
    queues.put("lens", {"poison": True})
    for _ in range(queues.MAXIMUM_DELIVERIES):
        assert queues.claim(["lens"], "victim") is not None
        _expire_leases()
    assert queues.claim(["lens"], "victim") is None
    assert queues.waiting("lens") == 0


def test_purge_empties_one_queue() -> None:
    for queue in ("lens", "lens", "features"):
        queues.put(queue, {})
    assert queues.purge("lens") == 2
    assert queues.waiting("features") == 1
