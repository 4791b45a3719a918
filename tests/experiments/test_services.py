"""Creating, cancelling, pausing, resuming and deleting experiments; the demo; workers; what the machine has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from experiments.models import Experiment, Worker
from experiments.services import experiments as service
from experiments.services import leases
from experiments.services.configurations import ExperimentRequest
from experiments.services.demo import queue_demo_once
from experiments.services.folders import experiment_folder
from experiments.services.language_models import list_models
from experiments.services.workers import forget_worker, record_heartbeat, worker_is_alive
from experiments.tasks import run_experiment
from latentlens.lib.problems import Conflict, NotFound
from tests.experiments.conftest import SMALL, write_model

pytestmark = pytest.mark.django_db
Make = Callable[..., Experiment]
Status = Experiment.Status


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The experiments that workers were told of."""
    messages: list[int] = []
    monkeypatch.setattr(run_experiment, "apply_async", lambda args, **_: messages.append(args[0]))
    return messages


def running(make: Make) -> Experiment:
    experiment = make()
    assert leases.claim(experiment.pk, "worker")
    return experiment


def test_creating_stores_and_queues(data_dir: Path, told: list[int], django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        experiment = service.create_experiment(ExperimentRequest(**SMALL))
    experiment.refresh_from_db()
    assert experiment.status == Status.QUEUED
    assert experiment.config["sae"]["n_features"] == 64
    assert told == [experiment.pk]
    assert experiment.enqueued_at is not None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PAUSED])
def test_what_nobody_works_on_is_cancelled_at_once(make_experiment: Make, status: str) -> None:
    assert service.cancel_experiment(make_experiment(status).pk).status == Status.CANCELLED


def test_a_running_experiment_is_asked_to_stop(make_experiment: Make) -> None:
    experiment = service.cancel_experiment(running(make_experiment).pk)
    assert (experiment.status, experiment.cancel_requested) == (Status.RUNNING, True)
    experiment = service.pause_experiment(experiment.pk)
    assert experiment.pause_requested


def test_a_running_experiment_whose_worker_died_is_cancelled_at_once(make_experiment: Make) -> None:
    experiment = running(make_experiment)
    Experiment.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert service.cancel_experiment(experiment.pk).status == Status.CANCELLED


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED, Status.CANCELLED])
def test_what_has_ended_cannot_be_cancelled_or_paused(make_experiment: Make, status: str) -> None:
    experiment = make_experiment(status)
    with pytest.raises(Conflict, match=f"is {status} and cannot be cancelled"):
        service.cancel_experiment(experiment.pk)
    with pytest.raises(Conflict):
        service.pause_experiment(experiment.pk)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.FAILED])
def test_resuming_queues_again(make_experiment: Make, status: str) -> None:
    experiment = make_experiment(status, error="It broke.", attempts=3)
    resumed = service.resume_experiment(experiment.pk)
    assert (resumed.status, resumed.error, resumed.attempts) == (Status.QUEUED, "", 0)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.FINISHED, Status.CANCELLED])
def test_only_what_is_interrupted_can_be_resumed(make_experiment: Make, status: str) -> None:
    with pytest.raises(Conflict):
        service.resume_experiment(make_experiment(status).pk)


def test_every_change_is_an_event(make_experiment: Make) -> None:
    experiment = make_experiment()
    numbers = [experiment.sequence]
    for act in (service.pause_experiment, service.resume_experiment, service.cancel_experiment):
        numbers.append(act(experiment.pk).sequence)
    assert numbers == sorted(set(numbers))


def test_deleting_takes_the_files_along(make_experiment: Make, django_capture_on_commit_callbacks: Any) -> None:
    experiment = make_experiment(Status.FINISHED)
    folder = experiment_folder(experiment.pk)
    folder.index.mkdir(parents=True)
    folder.features.touch()
    with django_capture_on_commit_callbacks(execute=True):
        service.delete_experiment(experiment.pk)
    assert not Experiment.objects.exists()
    assert not folder.path.exists()


def test_a_running_experiment_is_not_deleted(make_experiment: Make) -> None:
    with pytest.raises(Conflict, match="cancel it first"):
        service.delete_experiment(running(make_experiment).pk)


@pytest.mark.parametrize(
    "act",
    [service.cancel_experiment, service.pause_experiment, service.resume_experiment, service.delete_experiment],
)
def test_there_is_no_such_experiment(act: Callable[[int], Any]) -> None:
    with pytest.raises(NotFound):
        act(12345)
    with pytest.raises(NotFound):
        act(10**30)


def test_the_demo_is_queued_once_even_if_it_is_deleted(data_dir: Path) -> None:
    demo = queue_demo_once()
    assert demo is not None
    assert demo.is_demo
    assert queue_demo_once() is None
    service.delete_experiment(demo.pk)
    assert queue_demo_once() is None
    assert not Experiment.objects.exists()


def test_a_worker_is_alive_while_its_heart_beats() -> None:
    assert not worker_is_alive("experiments")
    record_heartbeat("w", ["lens", "features"])
    assert worker_is_alive("features")
    assert not worker_is_alive("experiments")
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert not worker_is_alive("features")
    record_heartbeat("w", ["lens"])
    assert Worker.objects.count() == 1
    forget_worker("w")
    assert not Worker.objects.exists()


def test_models_are_the_built_in_one_and_the_folders(data_dir: Path) -> None:
    write_model(data_dir / "models" / "good", layers=3)
    write_model(data_dir / "models" / "pickled")
    (data_dir / "models" / "pickled" / "model.safetensors").rename(data_dir / "models" / "pickled" / "weights.bin")
    (data_dir / "models" / "not a name").mkdir()
    (data_dir / "models" / "no-model").mkdir()
    listed = {model.model: model for model in list_models()}
    assert list(listed) == ["builtin", "local:good", "local:pickled"]
    assert listed["local:good"].card is not None
    assert "never opened" in listed["local:pickled"].problem
