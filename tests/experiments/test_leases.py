"""Who may write to an experiment: claims, renewals, give-backs, and what the reconciler does with the abandoned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.models import Experiment
from experiments.services import leases, queue
from experiments.services.leases import MAX_ATTEMPTS, LeaseLost
from experiments.services.workers import record_heartbeat

Make = Callable[..., Experiment]
Status = Experiment.Status
PAST = timedelta(minutes=-1)


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The experiments that workers were told of."""
    told: list[int] = []
    monkeypatch.setattr(leases, "enqueue", told.append)
    return told


def abandon(experiment: Experiment, **columns: object) -> Experiment:
    """As if its worker had been killed a minute ago."""
    leases.claim(experiment.pk, "the dead")
    Experiment.objects.filter(pk=experiment.pk).update(lease_until=timezone.now() + PAST, **columns)
    experiment.refresh_from_db()
    return experiment


def test_a_queued_experiment_is_claimed_once(make_experiment: Make) -> None:
    experiment = make_experiment()
    assert leases.claim(experiment.pk, "a")
    assert not leases.claim(experiment.pk, "b")
    experiment.refresh_from_db()
    assert (experiment.status, experiment.owner, experiment.attempts) == (Status.RUNNING, "a", 1)
    assert experiment.started_at is not None


@pytest.mark.parametrize("status", [Status.PAUSED, Status.FINISHED, Status.FAILED, Status.CANCELLED])
def test_what_is_not_queued_is_not_claimed(make_experiment: Make, status: str) -> None:
    assert not leases.claim(make_experiment(status).pk, "a")


def test_a_paused_experiment_is_claimed_by_whoever_asks_for_it(make_experiment: Make) -> None:
    assert leases.claim(make_experiment(Status.PAUSED).pk, "a", [Status.PAUSED])


def test_an_abandoned_experiment_may_be_claimed_and_its_old_owner_is_fenced_off(make_experiment: Make) -> None:
    experiment = abandon(make_experiment())
    assert leases.claim(experiment.pk, "b")
    with pytest.raises(LeaseLost):
        leases.renew(experiment.pk, "the dead", step=99)
    experiment.refresh_from_db()
    assert experiment.step == 0
    assert experiment.attempts == 2


def test_renewing_writes_extends_and_numbers_events(make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    before = Experiment.objects.get(pk=experiment.pk)
    orders = leases.renew(experiment.pk, "a", events=3, step=7)
    after = Experiment.objects.get(pk=experiment.pk)
    assert after.step == 7
    assert after.sequence == orders.sequence == before.sequence + 3
    assert after.lease_until > before.lease_until
    assert not orders.cancel


def test_renewing_tells_what_people_want(make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    Experiment.objects.filter(pk=experiment.pk).update(cancel_requested=True, pause_requested=True)
    orders = leases.renew(experiment.pk, "a")
    assert orders.cancel
    assert orders.pause


def test_a_deleted_experiment_is_a_lost_lease(make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    Experiment.objects.all().delete()
    with pytest.raises(LeaseLost):
        leases.renew(experiment.pk, "a")


def test_giving_back_queues_again_and_counts_as_no_attempt(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    leases.give_back(experiment.pk, "a")
    experiment.refresh_from_db()
    assert (experiment.status, experiment.owner, experiment.attempts) == (Status.QUEUED, "", 0)
    assert enqueued == [experiment.pk]


def test_concluding_needs_the_lease(make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    with pytest.raises(LeaseLost):
        leases.conclude(experiment.pk, "b", Status.FINISHED)
    leases.conclude(experiment.pk, "a", Status.FINISHED)
    experiment.refresh_from_db()
    assert experiment.status == Status.FINISHED
    assert experiment.finished_at is not None
    assert experiment.lease_until is None


def test_a_finished_experiment_is_held_by_one_and_stays_finished(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = make_experiment(Status.FINISHED)
    assert leases.claim_finished(experiment.pk, "host:7:a")
    assert not leases.claim_finished(experiment.pk, "b")
    assert not leases.claim(experiment.pk, "b", [Status.QUEUED, Status.PAUSED])
    leases.renew(experiment.pk, "host:7:a")
    experiment.refresh_from_db()
    assert (experiment.status, experiment.is_held, experiment.holder) == (Status.FINISHED, True, "process 7 on host")
    with pytest.raises(LeaseLost):
        leases.release_finished(experiment.pk, "b", quality={"l0": 1})
    leases.release_finished(experiment.pk, "host:7:a", quality={"l0": 2})
    experiment.refresh_from_db()
    assert (experiment.quality, experiment.is_held, experiment.owner) == ({"l0": 2}, False, "")


def test_an_evaluation_that_died_leaves_the_experiment_finished(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = make_experiment(Status.FINISHED)
    leases.claim_finished(experiment.pk, "the dead")
    Experiment.objects.update(lease_until=timezone.now() + PAST)
    leases.reconcile()
    experiment.refresh_from_db()
    assert experiment.status == Status.FINISHED
    assert enqueued == []
    assert leases.claim_finished(experiment.pk, "b")
    with pytest.raises(LeaseLost):
        leases.renew(experiment.pk, "the dead")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PAUSED, Status.FAILED, Status.CANCELLED])
def test_what_has_not_finished_is_not_evaluated_again(make_experiment: Make, status: str) -> None:
    assert not leases.claim_finished(make_experiment(status).pk, "a")


def test_the_reconciler_queues_an_abandoned_experiment_again(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = abandon(make_experiment())
    leases.reconcile()
    experiment.refresh_from_db()
    assert experiment.status == Status.QUEUED
    assert enqueued == [experiment.pk]


def test_the_reconciler_leaves_the_living_alone(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    leases.reconcile()
    experiment.refresh_from_db()
    assert (experiment.status, experiment.owner) == (Status.RUNNING, "a")
    assert enqueued == []


def test_three_dead_workers_are_enough(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = abandon(make_experiment(), attempts=MAX_ATTEMPTS, stage="harvest")
    assert not leases.claim(experiment.pk, "d")
    leases.reconcile()
    experiment.refresh_from_db()
    assert experiment.status == Status.FAILED
    assert "died 3 times in the stage “harvest”" in experiment.error
    assert enqueued == []


@pytest.mark.parametrize(
    ("wish", "status"), [({"cancel_requested": True}, Status.CANCELLED), ({"pause_requested": True}, Status.PAUSED)]
)
def test_what_was_asked_of_a_dead_worker_happens(
    make_experiment: Make, enqueued: list[int], wish: dict[str, bool], status: str
) -> None:
    experiment = abandon(make_experiment(), **wish)
    leases.reconcile()
    experiment.refresh_from_db()
    assert experiment.status == status
    assert enqueued == []


def test_a_lost_message_is_sent_again_when_a_worker_is_idle(make_experiment: Make, enqueued: list[int]) -> None:
    experiment = make_experiment()
    leases.reconcile()
    assert enqueued == []  # nobody could take it
    record_heartbeat("w", ["experiments"])
    leases.reconcile()
    assert enqueued == [experiment.pk]


def test_no_messages_pile_up_behind_a_busy_worker(make_experiment: Make, enqueued: list[int]) -> None:
    record_heartbeat("w", ["experiments"])
    leases.claim(make_experiment().pk, "w")
    make_experiment(enqueued_at=timezone.now() + PAST)
    leases.reconcile()
    assert enqueued == []


def test_a_fresh_message_is_not_repeated(make_experiment: Make, enqueued: list[int]) -> None:
    record_heartbeat("w", ["experiments"])
    make_experiment(enqueued_at=timezone.now())
    leases.reconcile()
    assert enqueued == []


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_does_not_stop_anybody(make_experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(queue.run_experiment, "apply_async", unreachable)
    experiment = make_experiment()
    queue.enqueue(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.enqueued_at is None  # so the reconciler will try again
