"""A sweep in real worker processes with the real engine: killed, paused, resumed, cancelled, and the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from experiments.engine import pipeline
from experiments.engine.records import StageFinished
from experiments.models import Experiment, Metric, Sweep
from experiments.runner import job_of
from experiments.services import corpora
from experiments.services.experiments import cancel_experiment
from experiments.services.leases import claim_with_its_sweep
from experiments.services.queue import enqueue
from experiments.services.sweeps import SweepRequest, members_of, pause_sweep, resume_sweep, store_sweep
from experiments.sweep_runner import train_side_by_side
from tests.engine.tiny_models import save_tiny_model
from tests.worker_processes import wait_until

Status = Experiment.Status
STEPS = 160
METRIC_EVERY = 10
LISTS = {"architecture": "topk, batchtopk", "layer": "0, 1"}
SHARED: dict[str, Any] = {
    "model": "tiny",
    "n_features": 32,
    "k": 4,
    "training_tokens": STEPS * 64,
    "batch_tokens": 64,
    "segment_tokens": 2048,
    "context_length": 16,
    "metric_every": METRIC_EVERY,
    "evaluation_tokens": 512,
    "splice_tokens": 512,
    "threshold_tokens": 512,
    "harvest_tokens": 512,
}
pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def make_sweep(data_dir: Path) -> Callable[..., Sweep]:
    """Makes four experiments, long enough to be interrupted: two layers, two architectures."""
    save_tiny_model(data_dir / "models" / "tiny", "llama")
    text = "\n\n".join(f"Tale {number}: the cat saw {number * 7 % 31} birds and slept. " * 5 for number in range(300))
    corpus = corpora.add_upload(SimpleUploadedFile("tales.txt", text.encode()))
    return lambda **more: store_sweep(SweepRequest(SHARED | {"corpus": corpus.pk} | more, LISTS), Status.PAUSED)


def weights_of(sweep: Sweep) -> list[str]:
    return list(members_of(sweep).values_list("weights_sha256", flat=True))


def trained_alone(sweep: Sweep, folder: Path) -> list[str]:
    """The weights of each member from a training of its own, without sweep, worker or database."""
    found = []
    for member in members_of(sweep):
        for record in pipeline.run(replace(job_of(member), folder=folder / str(member.pk))):
            if isinstance(record, StageFinished) and record.stage == "training":
                found.append(record.values["weights_sha256"])
                break
    return found


def start(sweep: Sweep) -> None:
    members_of(sweep).update(status=Status.QUEUED)
    for experiment in members_of(sweep):
        enqueue(experiment.pk)


def wait_for_checkpoints(sweep: Sweep, held: Path) -> None:
    wait_until(held.exists, what="a sweep that waits in the middle of training")
    assert members_of(sweep).filter(status=Status.RUNNING).exclude(checkpoint="").count() == 4


def wait_for_weights(sweep: Sweep, count: int) -> None:
    wait_until(lambda: len([sha for sha in weights_of(sweep) if sha]) == count, seconds=240, what=f"{count} SAEs")
    assert set(members_of(sweep).values_list("error", flat=True)) == {""}


def test_kill_9_in_the_middle_of_a_sweep(
    make_sweep: Callable[..., Sweep], workers: Any, held: Path, tmp_path: Path
) -> None:
    undisturbed = make_sweep()
    first = members_of(undisturbed)[0].pk
    train_side_by_side(claim_with_its_sweep(first, "tests", [Status.PAUSED]), "tests", after_training=Status.PAUSED)
    killed = make_sweep(checkpoint_seconds=0.02)
    worker = workers(held_experiments=4)
    start(killed)
    wait_for_checkpoints(killed, held)
    worker.kill_all()
    left = list(members_of(killed))
    assert [member.status for member in left] == [Status.RUNNING] * 4  # nobody could say goodbye
    assert [member.stage for member in left] == ["training"] * 4
    # The leases run out by themselves; the test does not wait for that. The next worker reconciles when it starts.
    members_of(killed).update(lease_until=timezone.now() - timedelta(seconds=1))
    workers()
    wait_for_weights(killed, 4)
    assert weights_of(killed) == weights_of(undisturbed)
    assert len(set(weights_of(killed))) == 4
    for member in members_of(killed):
        steps = list(Metric.objects.filter(experiment=member).order_by("sequence").values_list("step", flat=True))
        assert steps == list(range(METRIC_EVERY, STEPS + 1, METRIC_EVERY))
    assert weights_of(killed) == trained_alone(undisturbed, tmp_path / "alone")


def test_a_sweep_that_is_paused_goes_on_side_by_side_without_what_was_cancelled(
    make_sweep: Callable[..., Sweep], workers: Any, held: Path, tmp_path: Path
) -> None:
    sweep = make_sweep(checkpoint_seconds=0.02)
    workers(held_experiments=4)
    start(sweep)
    wait_for_checkpoints(sweep, held)
    pause_sweep(sweep.pk)
    held.unlink()
    wait_until(lambda: members_of(sweep).filter(status=Status.PAUSED).count() == 4, what="four paused experiments")
    assert list(members_of(sweep).values_list("stage", flat=True)) == ["training"] * 4
    gone = members_of(sweep)[2]
    cancel_experiment(gone.pk)
    resume_sweep(sweep.pk)
    owners = Experiment.objects.filter(sweep=sweep, status=Status.RUNNING).values_list("owner", flat=True)
    wait_until(lambda: len(owners.all()) == 3, what="three running experiments")
    assert len(set(owners.all())) == 1  # one worker has them together
    wait_for_weights(sweep, 3)
    expected = trained_alone(make_sweep(), tmp_path / "alone")
    expected[2] = ""
    assert weights_of(sweep) == expected
    gone.refresh_from_db()
    assert gone.status == Status.CANCELLED
