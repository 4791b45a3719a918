"""Experiments without torch: a model folder of which only the header is real, and an engine that follows a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from experiments import runner
from experiments.engine.records import Checkpointed, Measurement, ModelLoaded, Progress, Record, StageFinished
from experiments.models import Corpus, Experiment
from experiments.services import language_models
from experiments.services.configurations import ExperimentRequest, configure
from experiments.services.experiments import store_experiment
from tests.worker_processes import ChildProcess, start_worker

Status = Experiment.Status
SMALL: dict[str, Any] = {"model": "builtin", "layer": 1, "n_features": 64, "k": 4, "training_tokens": 40_960}
QUALITY = {
    "explained_variance": 0.934,
    "l0": 4.0,
    "dead_share": 0.031,
    "dead_tokens": 20_000,
    "cosine": 0.97,
    "l2_ratio": 0.98,
    "held_out_tokens": 100_000,
    "ce_clean": 2.1,
    "ce_spliced": 2.15,
    "ce_gap": 0.05,
    "kl": 0.04,
    "ce_zero": 8.0,
    "ce_mean": 6.0,
    "ce_recovered_zero": 0.992,
    "ce_recovered_mean": 0.987,
    "pca_explained_variance": 0.61,
    "concepts": {
        "single_share_f1_80": 0.62,
        "set_share_f1_80": 0.88,
        "fitted_tokens": 50_000,
        "scored_tokens": 50_000,
        "rows": [
            {"concept": "weekday", "title": "Weekday", "tokens": 812, "feature": 17, "threshold": 0.1,
             "precision": 0.98, "recall": 0.95, "f1": 0.965, "set": [17, 40], "set_f1": 0.97}
        ],
    },
}  # fmt: skip


CAPTURED = {
    "training_tokens": 41_200,
    "held_out_tokens": 5_100,
    "split": "document",
    "training_documents": 310,
    "held_out_documents": 34,
    "blank_documents": 5,
    "duplicate_documents": 17,
    "cut_tokens": 901,
    "outliers_left_out": 3,
}


def write_model(folder: Path, *, layers: int = 4, width: int = 16, **config: Any) -> None:
    """A model folder that cards can be read from; nobody could run it."""
    folder.mkdir(parents=True)
    described = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": layers,
        "hidden_size": width,
        "vocab_size": 100,
        "max_position_embeddings": 256,
    }
    (folder / "config.json").write_text(json.dumps(described | config))
    blocks = {f"model.layers.{layer}.weight": numpy.zeros((width, width), numpy.float32) for layer in range(layers)}
    save_file({"embedding": numpy.zeros((10, width), numpy.float32), **blocks}, folder / "model.safetensors")


@pytest.fixture(autouse=True)
def builtin_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four layers of width 16 take the place of the built-in model."""
    folder = tmp_path / "builtin-model"
    write_model(folder)
    monkeypatch.setattr(language_models, "BUILTIN_FOLDER", folder)
    return folder


@pytest.fixture
def make_experiment(db: None, data_dir: Path) -> Callable[..., Experiment]:
    """Makes an experiment of the given status; other columns may be given too."""

    def make(status: str = Status.QUEUED, **columns: Any) -> Experiment:
        request = {name: columns.pop(name) for name in list(columns) if name in {"name", "model", "layer", "corpus"}}
        experiment = store_experiment(ExperimentRequest(**(SMALL | request)), status)
        Experiment.objects.filter(pk=experiment.pk).update(**columns)
        experiment.refresh_from_db()
        return experiment

    return make


@pytest.fixture
def finished(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(Status.FINISHED, name="Finished one", quality=QUALITY, weights_sha256="ab" * 32)


@pytest.fixture
def upload(data_dir: Path) -> Callable[..., Any]:
    """Makes the uploaded file that a form or the API would hand over."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    return lambda name, content: SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())


class FakeEngine:
    """Yields a script of records and notes how it was used; `during` runs before each record."""

    def __init__(self) -> None:
        self.script: list[Record | Exception] = whole_story()
        self.resumed_at: list[tuple[str, str]] = []
        self.during: dict[int, Callable[[], None]] = {}
        self.closed = 0
        self.asked_for_checkpoint = False

    def records(self, experiment: Experiment, should_checkpoint: Callable[[], bool]) -> Iterator[Record]:
        self.resumed_at.append((experiment.stage, experiment.checkpoint))
        try:
            for number, record in enumerate(self.script):
                self.during.get(number, lambda: None)()
                self.asked_for_checkpoint |= should_checkpoint()
                if isinstance(record, Exception):
                    raise record
                yield record
        finally:
            self.closed += 1


def whole_story(steps: int = 10) -> list[Any]:
    """What the engine says about an undisturbed experiment."""
    training: list[Any] = []
    for step in range(1, steps + 1):
        training.append(Progress("training", step, steps, step * 4096, 9000.0, float(steps - step)))
        training.append(Measurement(step, step * 4096, {"loss": 1 / step, "explained_variance": 1 - 1 / step}))
        if step == steps // 2:
            training.append(Checkpointed("step-5.safetensors", "cd" * 32, step))
    return [
        Progress("capture", 0, 1),
        ModelLoaded("commit-1", 1_000_000),
        StageFinished("capture", CAPTURED),
        *training,
        StageFinished("training", {"weights_sha256": "ef" * 32}),
        StageFinished("evaluation", QUALITY),
        StageFinished("harvest", {"tokens": 1, "features": 1}),
    ]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(runner, "engine_records", fake.records)
    return fake


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """The file that says that a worker started with `held_experiments` waits in the middle of training."""
    return tmp_path / "held"


@pytest.fixture
def workers(child_environment: dict[str, str], tmp_path: Path, held: Path) -> Iterator[Any]:
    """Starts workers for the queue `experiments`; what still runs at the end is killed.

    With `held_experiments` a worker stops in the middle of training so many; see tests/experiments/held_training.py.
    """
    started: list[ChildProcess] = []

    def start(held_experiments: int = 0) -> ChildProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        app = "tests.experiments.held_training" if held_experiments else "latentlens"
        environment = child_environment | {"HELD_FILE": str(held), "HELD_EXPERIMENTS": str(held_experiments)}
        started.append(start_worker(environment, log, queues="experiments", app=app))
        return started[-1]

    yield start
    for worker in started:
        worker.kill_all()


@pytest.fixture
def corpus(db: None) -> Corpus:
    from experiments.services.corpora import builtin_corpus

    return builtin_corpus()


def config_json() -> dict[str, Any]:
    """The stored configuration of the small experiment."""
    return asdict(configure(ExperimentRequest(**SMALL)).config)
