"""The runner of a sweep with an engine that follows a script: who is claimed, and how each member ends by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments import runner, sweep_runner
from experiments.engine.config import ConfigError
from experiments.engine.records import Checkpointed, Measurement, MemberFailed, Progress, StageFinished
from experiments.models import Experiment, Metric, Sweep
from experiments.services import leases
from experiments.services.experiments import cancel_experiment, pause_experiment
from latentlens.lib import shutdown
from tests.experiments.conftest import CAPTURED, FakeEngine

Make = Callable[..., Experiment]
Status = Experiment.Status
STEPS = 4
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The experiments that workers were told of."""
    told: list[int] = []
    monkeypatch.setattr(leases, "enqueue", told.append)
    monkeypatch.setattr("experiments.progress.SECONDS_BETWEEN_WRITES", 0.0)
    return told


@pytest.fixture
def members(make_experiment: Make) -> list[Experiment]:
    sweep = Sweep.objects.create(name="Three", request={})
    return [make_experiment(sweep=sweep, k=k) for k in (1, 2, 3)]


class FakeSweep:
    """Trains all members at one pace; `before` runs before a step."""

    def __init__(self) -> None:
        self.before: dict[int, Callable[[], None]] = {}
        self.failing: dict[int, tuple[int, Exception]] = {}
        self.members: dict[int, runner.ExperimentRun] = {}
        self.dropped: list[int] = []

    def of(self, runs: list[runner.ExperimentRun]) -> FakeSweep:
        self.members = dict(enumerate(runs))
        return self

    def drop(self, number: int) -> None:
        self.dropped.append(number)
        self.members.pop(number, None)

    def run(self) -> Iterator[Any]:
        yield from ((number, StageFinished("capture", CAPTURED)) for number in list(self.members))
        for step in range(1, STEPS + 1):
            self.before.get(step, lambda: None)()
            for number in list(self.members):
                yield from ((number, record) for record in self.step(number, step) if number in self.members)
        yield from ((n, StageFinished("training", {"weights_sha256": f"{n}" * 64})) for n in list(self.members))

    def step(self, number: int, step: int) -> Iterator[Any]:
        if self.failing.get(number, (0, None))[0] == step:
            yield MemberFailed(self.failing[number][1])
            return
        yield Progress("training", step, STEPS)
        yield Measurement(step, step * 64, {"loss": 1.0})
        if number in self.members and self.members[number].is_interrupted():
            yield Checkpointed(f"step-{step}.safetensors", "ab" * 32, step)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSweep:
    made = FakeSweep()
    monkeypatch.setattr(sweep_runner, "side_by_side", made.of)
    return made


def states(members: list[Experiment]) -> list[tuple[str, str]]:
    for member in members:
        member.refresh_from_db()
    return [(member.status, member.stage) for member in members]


def test_one_message_trains_all_and_queues_each_for_what_follows(
    members: list[Experiment], fake: FakeSweep, enqueued: list[int]
) -> None:
    runner.run(members[1].pk)
    assert states(members) == [(Status.QUEUED, "evaluation")] * 3
    assert enqueued == [member.pk for member in members]
    assert [member.weights_sha256[0] for member in members] == ["0", "1", "2"]
    assert {(member.owner, member.attempts) for member in members} == {("", 0)}
    for member in members:
        steps = Metric.objects.filter(experiment=member).order_by("sequence").values_list("step", flat=True)
        assert list(steps) == list(range(1, STEPS + 1))


def test_after_its_training_a_member_is_run_by_itself(
    members: list[Experiment], fake: FakeSweep, engine: FakeEngine
) -> None:
    runner.run(members[0].pk)
    runner.run(members[0].pk)
    assert engine.resumed_at == [("evaluation", "")]
    assert states(members)[1:] == [(Status.QUEUED, "evaluation")] * 2


def test_only_members_that_are_to_be_had_are_claimed(members: list[Experiment], fake: FakeSweep) -> None:
    Experiment.objects.filter(pk=members[0].pk).update(status=Status.PAUSED)
    other = Sweep.objects.create(name="Other", request={})
    Experiment.objects.filter(pk=members[2].pk).update(sweep=other)
    assert leases.claim_with_its_sweep(members[1].pk, "a") == [members[1].pk]
    assert leases.claim_with_its_sweep(members[1].pk, "b") == []
    assert leases.claim_with_its_sweep(members[0].pk, "b") == []


def test_cancelling_one_takes_only_that_one_out(members: list[Experiment], fake: FakeSweep) -> None:
    fake.before[2] = lambda: cancel_experiment(members[1].pk) and None  # type: ignore[func-returns-value]
    runner.run(members[0].pk)
    assert [status for status, _ in states(members)] == [Status.QUEUED, Status.CANCELLED, Status.QUEUED]
    assert fake.dropped[0] == 1


def test_pausing_one_waits_for_its_checkpoint(members: list[Experiment], fake: FakeSweep) -> None:
    fake.before[2] = lambda: pause_experiment(members[2].pk) and None  # type: ignore[func-returns-value]
    runner.run(members[0].pk)
    assert [status for status, _ in states(members)] == [Status.QUEUED, Status.QUEUED, Status.PAUSED]
    assert members[2].checkpoint == "step-2.safetensors"


def test_what_stops_one_member_is_told_of_that_one(members: list[Experiment], fake: FakeSweep) -> None:
    fake.failing[0] = (3, ConfigError("layer", "The model has layers 0 to 3."))
    runner.run(members[0].pk)
    assert [status for status, _ in states(members)] == [Status.FAILED, Status.QUEUED, Status.QUEUED]
    assert members[0].error == "The model has layers 0 to 3."


def test_what_stops_all_of_them_is_told_of_each(members: list[Experiment], fake: FakeSweep) -> None:
    def broken() -> None:
        raise MemoryError

    fake.before[3] = broken
    runner.run(members[0].pk)
    assert [status for status, _ in states(members)] == [Status.FAILED] * 3
    assert all(member.error.startswith("Memory ran out") for member in members)


def test_who_lost_one_lease_leaves_only_that_one(members: list[Experiment], fake: FakeSweep) -> None:
    fake.before[2] = lambda: Experiment.objects.filter(pk=members[0].pk).update(owner="b") and None
    runner.run(members[0].pk)
    assert states(members)[1:] == [(Status.QUEUED, "evaluation")] * 2
    assert (members[0].status, members[0].owner) == (Status.RUNNING, "b")


def test_a_shutdown_gives_all_back_at_their_checkpoints(
    members: list[Experiment], fake: FakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(shutdown, "is_requested", lambda: bool(asked))
    fake.before[2] = lambda: asked.append(True)
    runner.run(members[0].pk)
    assert states(members) == [(Status.QUEUED, "training")] * 3
    assert {member.checkpoint for member in members} == {"step-2.safetensors"}


def test_a_member_that_waits_is_asked_whether_somebody_wants_something(
    members: list[Experiment], fake: FakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first member has nothing to tell after its first step, and is cancelled all the same."""
    monkeypatch.setattr(sweep_runner, "SECONDS_OF_SILENCE", -1.0)
    told = fake.step
    monkeypatch.setattr(fake, "step", lambda number, step: told(number, step) if number or step < 2 else iter(()))
    fake.before[2] = lambda: cancel_experiment(members[0].pk) and None  # type: ignore[func-returns-value]
    runner.run(members[0].pk)
    assert [status for status, _ in states(members)] == [Status.CANCELLED, Status.QUEUED, Status.QUEUED]


def test_a_dead_workers_members_are_settled_together(members: list[Experiment], enqueued: list[int]) -> None:
    claimed = leases.claim_with_its_sweep(members[0].pk, "the dead")
    past = timezone.now() - timedelta(minutes=1)
    Experiment.objects.filter(pk=claimed[0]).update(lease_until=past)
    leases.reconcile()
    assert [status for status, _ in states(members)] == [Status.RUNNING] * 3  # its other leases are still good
    Experiment.objects.update(lease_until=past)
    leases.reconcile()
    assert [status for status, _ in states(members)] == [Status.QUEUED] * 3
    assert sorted(enqueued) == claimed
