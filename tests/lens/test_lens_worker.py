"""Real worker processes: a prompt is read while an experiment trains, and after its worker was killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from experiments.services.configurations import ExperimentRequest
from experiments.services.corpora import add_upload
from experiments.services.experiments import create_experiment
from experiments.services.workers import live_workers, worker_is_alive
from lens.models import Analysis
from lens.services.analyses import request_analysis, wait_for
from tests.lens.real_experiment import make_real_experiment
from tests.stories import stories
from tests.worker_processes import ChildProcess, start_worker, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("data_dir")]


def _start_lens(workers: list[ChildProcess], environment: dict[str, str], log: Path) -> ChildProcess:
    worker = start_worker(environment, log, queues="lens,features", pool="solo")
    workers.append(worker)
    wait_until(lambda: worker_is_alive("lens"), what="the heartbeat of the lens worker")
    return worker


def _answer(analysis: Analysis) -> Analysis:
    wait_until(lambda: not wait_for(analysis, 1).is_pending, seconds=90, what="an answer")
    return wait_for(analysis, 0)


def test_a_lens_worker_reads_prompts(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    experiment = make_real_experiment()
    _start_lens(workers, child_environment, tmp_path / "lens.log")
    answered = _answer(request_analysis(experiment.pk, "The dog sat on the mat."))
    assert (answered.status, answered.error) == ("finished", "")
    too_long = _answer(request_analysis(experiment.pk, " dog" * 100))
    assert "101 tokens" in too_long.error


def test_a_prompt_waits_for_a_worker_and_survives_its_death(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    experiment = make_real_experiment()
    waiting = request_analysis(experiment.pk, "The dog")
    assert wait_for(waiting, 30).is_pending  # at once: nobody is there
    _start_lens(workers, child_environment, tmp_path / "first.log").kill_all()
    assert live_workers("lens")  # it could not say that it is gone
    _start_lens(workers, child_environment, tmp_path / "second.log")
    assert _answer(waiting).status == "finished"


def test_an_experiment_in_training_does_not_hold_a_prompt_up(
    workers: list[ChildProcess], child_environment: dict[str, str], tmp_path: Path
) -> None:
    finished = make_real_experiment()
    corpus = add_upload(SimpleUploadedFile("stories.txt", stories(200).encode()))
    request = ExperimentRequest(
        "local:gpt2", layer=1, corpus=corpus.pk, n_features=64, k=4, training_tokens=500_000_000, context_length=64
    )
    training = create_experiment(request)
    workers.append(start_worker(child_environment, tmp_path / "experiments.log", queues="experiments"))
    _start_lens(workers, child_environment, tmp_path / "lens.log")

    def is_training() -> bool:
        training.refresh_from_db()
        assert not training.error
        return training.stage == "training" and training.step > 0

    wait_until(is_training, seconds=120, what="an experiment in training")
    events = training.sequence
    assert _answer(request_analysis(finished.pk, "The dog sat on the mat.")).status == "finished"
    wait_until(lambda: is_training() and training.sequence > events, what="the training to go on")
    assert training.status == "running"
