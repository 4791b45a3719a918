"""The runner with an engine that follows a script: what is saved, and how it ends when people or machines interfere."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from experiments import lease_keeper, runner
from experiments.engine.config import ConfigError
from experiments.engine.records import Checkpointed, Measurement, Progress
from experiments.models import Experiment, Metric
from experiments.progress import Journal
from experiments.services import leases
from experiments.services.experiments import cancel_experiment, delete_experiment, pause_experiment
from experiments.services.folders import experiment_folder
from experiments.signals import experiment_finished
from latentlens.lib import shutdown
from tests.experiments.conftest import CAPTURED, FakeEngine, whole_story
from tests.worker_processes import wait_until

Make = Callable[..., Experiment]
Status = Experiment.Status
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No messages, and no receivers of other apps: their files do not exist here."""
    monkeypatch.setattr(leases, "enqueue", lambda _: None)
    monkeypatch.setattr(experiment_finished, "receivers", [])
    monkeypatch.setattr("experiments.progress.SECONDS_BETWEEN_WRITES", 0.0)


@pytest.fixture
def shutting_down(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    asked: list[bool] = []
    monkeypatch.setattr(shutdown, "is_requested", lambda: bool(asked))
    return asked


def run(experiment: Experiment) -> Experiment:
    runner.run(experiment.pk)
    experiment.refresh_from_db()
    return experiment


def test_an_undisturbed_experiment(make_experiment: Make, engine: FakeEngine) -> None:
    heard: list[tuple[int, str, str]] = []

    def receiver(experiment_id: int, **_: object) -> None:
        now = Experiment.objects.get(pk=experiment_id)
        heard.append((experiment_id, now.stage, now.status))

    experiment_finished.connect(receiver)
    experiment = run(make_experiment())
    assert experiment.status == Status.FINISHED
    assert experiment.weights_sha256 == "ef" * 32
    assert experiment.quality["explained_variance"] == 0.934
    assert experiment.captured == CAPTURED
    assert experiment.model_revision == "commit-1"
    assert experiment.finished_at is not None
    assert heard == [(experiment.pk, "import", Status.RUNNING)]
    assert engine.closed == 1


def test_metrics_are_numbered_in_order_without_repetition(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = run(make_experiment())
    metrics = list(Metric.objects.filter(experiment=experiment).order_by("sequence"))
    assert [metric.step for metric in metrics] == list(range(1, 11))
    assert metrics[-1].sequence < experiment.sequence
    assert metrics[3].values == {"loss": 0.25, "explained_variance": 0.75}


def test_numbers_that_json_does_not_have_become_null(make_experiment: Make, engine: FakeEngine) -> None:
    engine.script = [
        Progress("training", 1, 2, 9, float("inf"), float("nan")),
        Measurement(1, 9, {"loss": float("nan")}),
    ]
    experiment = run(make_experiment())
    assert Metric.objects.get().values == {"loss": None}
    assert experiment.tokens == 9


def test_cancel_between_two_records(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = make_experiment()
    engine.during[6] = lambda: cancel_experiment(experiment.pk)
    run(experiment)
    assert experiment.status == Status.CANCELLED
    assert not experiment.cancel_requested
    assert engine.closed == 1
    assert Metric.objects.count() < 10


def test_pause_waits_for_the_checkpoint_and_resume_begins_there(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = make_experiment()
    engine.during[6] = lambda: pause_experiment(experiment.pk)
    run(experiment)
    assert (experiment.status, experiment.checkpoint) == (Status.PAUSED, "step-5.safetensors")
    assert engine.asked_for_checkpoint
    engine.during.clear()
    assert leases.claim(experiment.pk, "me", [Status.PAUSED])
    runner.run_claimed(experiment.pk, "me")
    assert engine.resumed_at[-1] == ("training", "step-5.safetensors")
    assert Experiment.objects.get().status == Status.FINISHED
    assert [m.step for m in Metric.objects.order_by("sequence")] == list(range(1, 11))


def test_pause_without_a_checkpoint_has_an_end(
    make_experiment: Make, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_PATIENCE", -1.0)
    experiment = make_experiment()
    engine.during[5] = lambda: pause_experiment(experiment.pk)
    run(experiment)
    assert (experiment.status, experiment.checkpoint) == (Status.PAUSED, "")


def test_shutdown_gives_the_lease_back(make_experiment: Make, engine: FakeEngine, shutting_down: list[bool]) -> None:
    experiment = make_experiment()
    engine.during[6] = lambda: shutting_down.append(True)
    run(experiment)
    assert (experiment.status, experiment.owner, experiment.attempts) == (Status.QUEUED, "", 0)
    assert experiment.checkpoint == "step-5.safetensors"


def test_shutdown_outside_of_training_waits_for_nothing(
    make_experiment: Make, engine: FakeEngine, shutting_down: list[bool]
) -> None:
    engine.script = [Progress("evaluation", 1, 9), Progress("evaluation", 2, 9), Progress("evaluation", 3, 9)]
    engine.during[1] = lambda: shutting_down.append(True)
    experiment = run(make_experiment())
    assert (experiment.status, experiment.step) == (Status.QUEUED, 2)


def test_who_lost_the_lease_stops_at_once_and_changes_nothing(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = make_experiment()

    def stolen() -> None:
        Experiment.objects.filter(pk=experiment.pk).update(owner="somebody else")

    engine.during[8] = stolen
    run(experiment)
    assert (experiment.status, experiment.owner) == (Status.RUNNING, "somebody else")
    assert engine.closed == 1
    assert Metric.objects.count() < 5


def test_a_deleted_experiment_stops_its_runner(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = make_experiment()

    def deleted() -> None:
        Experiment.objects.filter(pk=experiment.pk).update(lease_until=None)
        delete_experiment(experiment.pk)

    engine.during[8] = deleted
    runner.run(experiment.pk)
    assert not Experiment.objects.exists()
    assert not Metric.objects.exists()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConfigError("layer", "The model has layers 0 to 3."), "The model has layers 0 to 3."),
        (MemoryError(), "Memory ran out: choose fewer features"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "The GPU's memory ran out, although"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "Memory ran out"),
        (OSError(errno.ENOSPC, "No space left on device", "/secret/path"), "The disk is full"),
        (KeyError("/secret/path"), "Something unexpected happened in the stage “training” (KeyError)"),
    ],
)
def test_a_failure_is_one_sentence(make_experiment: Make, engine: FakeEngine, error: Exception, sentence: str) -> None:
    engine.script = [*whole_story()[:8], error]
    experiment = run(make_experiment())
    assert experiment.status == Status.FAILED
    assert experiment.error.startswith(sentence)
    assert "secret" not in experiment.error
    assert "Traceback" not in experiment.error


def test_a_failing_receiver_fails_the_experiment_and_resume_repeats_only_the_import(
    make_experiment: Make, engine: FakeEngine
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("no")

    experiment_finished.connect(broken)
    experiment = run(make_experiment())
    assert (experiment.status, experiment.stage) == (Status.FAILED, "import")
    experiment_finished.disconnect(broken)
    Experiment.objects.update(status=Status.QUEUED)
    run(experiment)
    assert experiment.status == Status.FINISHED
    assert len(engine.resumed_at) == 1  # the engine was not asked again


def test_a_second_message_about_a_finished_experiment_does_nothing(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = run(make_experiment())
    run(experiment)
    assert len(engine.resumed_at) == 1


def test_checkpoints_go_when_the_experiment_is_finished(make_experiment: Make, engine: FakeEngine) -> None:
    experiment = make_experiment()
    checkpoint = experiment_folder(experiment.pk).checkpoint("step-5.safetensors")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    run(experiment)
    assert not checkpoint.exists()
    assert experiment.checkpoint == ""


def test_measuring_a_step_again_after_a_resume_keeps_the_first(make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    journal = Journal(experiment.pk, "a")
    for loss in (0.5, 0.7):
        journal.take(Measurement(1, 4096, {"loss": loss}))
        journal.save()
    assert [metric.values["loss"] for metric in Metric.objects.all()] == [0.5]


def test_records_are_gathered_but_a_checkpoint_is_saved_at_once(
    make_experiment: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.progress.SECONDS_BETWEEN_WRITES", 60.0)
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    journal = Journal(experiment.pk, "a")
    journal.take(Progress("training", 1, 10))  # the first one is written, as nothing was before
    journal.take(Progress("training", 2, 10))
    experiment.refresh_from_db()
    assert experiment.step == 1
    journal.take(Checkpointed("step-2.safetensors", "ab" * 32, 2))
    experiment.refresh_from_db()
    assert (experiment.step, experiment.checkpoint) == (2, "step-2.safetensors")


def test_the_lease_is_kept_while_the_engine_is_silent(make_experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_keeper, "SECONDS_BETWEEN_RENEWALS", 0.01)
    experiment = make_experiment()
    leases.claim(experiment.pk, "a")
    before = Experiment.objects.get().lease_until
    journal = Journal(experiment.pk, "a")
    with lease_keeper.LeaseKeeper(journal):
        wait_until(lambda: Experiment.objects.get().lease_until > before, what="a renewal")
        Experiment.objects.update(owner="somebody else")
        wait_until(lambda: journal.lease_lost, what="the loss to be noticed")
    with pytest.raises(leases.LeaseLost):
        journal.take(Progress("training", 1, 10))
