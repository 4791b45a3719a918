"""Real worker processes and the real engine on a tiny model: killed, or asked to stop, in the middle of training."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from experiments.models import Experiment, Metric, Worker
from experiments.services import corpora
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import store_experiment
from experiments.services.queue import enqueue
from features.models import Feature
from tests.engine.tiny_models import save_tiny_model
from tests.worker_processes import wait_until

Status = Experiment.Status
STEPS = 300
BATCH_TOKENS = 64
METRIC_EVERY = 10
pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def experiment(data_dir: Path) -> Experiment:
    """Small enough for seconds, long enough to be interrupted; it saves a checkpoint at every other step."""
    save_tiny_model(data_dir / "models" / "tiny", "llama")
    text = "\n\n".join(f"Tale {number}: the cat saw {number * 7 % 31} birds and slept. " * 5 for number in range(300))
    corpus = corpora.add_upload(SimpleUploadedFile("tales.txt", text.encode()))
    request = ExperimentRequest(
        model="tiny",
        layer=0,
        corpus=corpus.pk,
        n_features=32,
        k=4,
        training_tokens=STEPS * BATCH_TOKENS,
        context_length=16,
    )
    stored = store_experiment(request, Status.QUEUED)
    faster = {"batch_tokens": BATCH_TOKENS, "segment_tokens": 2048, "checkpoint_seconds": 0.01}
    stored.config["training"] |= faster | {"metric_every": METRIC_EVERY}
    stored.config |= {"evaluation_tokens": 512, "harvest_tokens": 512}
    stored.save()
    return stored


def now(experiment: Experiment) -> Experiment:
    experiment.refresh_from_db()
    return experiment


def wait_for_training(experiment: Experiment, held: Path) -> int:
    """The step of the last measurement of a training that waits in the middle."""
    wait_until(held.exists, seconds=120, what="a training that waits")
    assert (now(experiment).status, experiment.stage) == (Status.RUNNING, "training")
    assert experiment.checkpoint
    return Metric.objects.latest("sequence").step


def wait_for_the_end(experiment: Experiment) -> None:
    wait_until(lambda: not now(experiment).is_live, seconds=180, what="the end of the experiment")
    assert (experiment.status, experiment.error) == (Status.FINISHED, "")
    steps = list(Metric.objects.order_by("sequence").values_list("step", flat=True))
    assert steps == list(range(METRIC_EVERY, STEPS + 1, METRIC_EVERY))
    assert len(experiment.weights_sha256) == 64
    assert experiment.quality["held_out_tokens"] > 0
    assert Feature.objects.filter(experiment=experiment).count() == 32


def test_kill_9_in_the_middle_of_training(experiment: Experiment, workers: Any, held: Path) -> None:
    enqueue(experiment.pk)
    worker = workers(held_experiments=1)
    interrupted_at = wait_for_training(experiment, held)
    worker.kill_all()
    assert now(experiment).status == Status.RUNNING  # nobody could say goodbye
    # The lease runs out by itself; the test does not wait for that.
    Experiment.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    workers()
    wait_for_the_end(experiment)
    assert 0 < interrupted_at < STEPS
    assert experiment.attempts == 2


def test_sigterm_in_the_middle_of_training(experiment: Experiment, workers: Any, held: Path) -> None:
    enqueue(experiment.pk)
    worker = workers(held_experiments=1)
    interrupted_at = wait_for_training(experiment, held)
    assert Worker.objects.get().reads == ["experiments"]
    worker.stop()
    assert (now(experiment).status, experiment.owner, experiment.attempts) == (Status.QUEUED, "", 0)
    assert experiment.checkpoint
    assert not Worker.objects.exists()
    assert 0 < interrupted_at < STEPS
    workers()
    wait_for_the_end(experiment)
