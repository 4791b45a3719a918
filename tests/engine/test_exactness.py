"""Whatever happens to a training, the same configuration ends in the same weights, bit for bit: every architecture."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.engine import pipeline
from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.config import ARCHITECTURES
from experiments.engine.kernels import arithmetic
from experiments.engine.pipeline import Job, ResumePoint
from experiments.engine.records import Checkpointed, Measurement, StageFinished
from tests.engine.killed_training import KILLS
from tests.engine.test_pipeline import always, job_in, write_corpus
from tests.engine.tiny_models import save_tiny_model

KINDS: dict[str, dict[str, Any]] = {name: {"architecture": name} for name in ARCHITECTURES} | {
    "transcoder": {"output_site": "mlp_out", "skip": True},
    "jumprelu transcoder": {"architecture": "jumprelu", "output_site": "mlp_out"},
}
INTERRUPTIONS = 4


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exactness")
    save_tiny_model(folder / "model", "llama")
    write_corpus(folder / "corpus.txt")
    return folder


def job_of(kind: str, workplace: Path, folder: Path) -> Job:
    """Few steps in which much happens: three segments twice, features that are dead after two steps and come back."""
    job = job_in(workplace, folder)
    training = replace(job.config.training, tokens=8_000, dead_after_tokens=256, resample_share=0.1)
    sae = replace(job.config.sae, **KINDS[kind])
    return replace(job, config=replace(job.config, sae=sae, training=replace(training, threshold_tokens=200)))


def learn(
    job: Job, resume: ResumePoint | None = None, until: int | None = None, *, checkpoints: bool = False
) -> tuple[ResumePoint | None, dict[int, dict[str, float]]]:
    """Trains to the end, or until so many checkpoints were saved; returns where to go on and what was measured."""
    measured: dict[int, dict[str, float]] = {}
    records = pipeline.run(job, resume, always if checkpoints else pipeline.never)
    for record in records:
        if isinstance(record, Measurement):
            measured[record.step] = record.values
        if isinstance(record, Checkpointed) and until is not None:
            resume, until = ResumePoint("training", record.name, record.sha256), until - 1
        if until == 0 or (isinstance(record, StageFinished) and record.stage == "training"):
            break
    records.close()  # type: ignore[attr-defined]
    return resume, measured


@pytest.mark.parametrize("kind", KINDS)
def test_interruptions_change_neither_weights_nor_measurements(kind: str, workplace: Path, tmp_path: Path) -> None:
    undisturbed, interrupted = (job_of(kind, workplace, tmp_path / name) for name in ("undisturbed", "interrupted"))
    _, expected = learn(undisturbed)
    random_steps = random.Random(kind)
    resume: ResumePoint | None = None
    found: dict[int, dict[str, float]] = {}
    for _ in range(INTERRUPTIONS):
        resume, measured = learn(interrupted, resume, random_steps.randint(1, 14), checkpoints=True)
        found |= measured
    _, measured = learn(interrupted, resume)
    assert found | measured == expected
    weights, sae_config = ExperimentFolder(interrupted.folder).weights, ExperimentFolder(interrupted.folder).sae_config
    assert sha256_of(weights) == sha256_of(ExperimentFolder(undisturbed.folder).weights)
    assert sae_config.read_text() == ExperimentFolder(undisturbed.folder).sae_config.read_text()


@pytest.mark.parametrize("faster", [False, True], ids=["float32", "bfloat16"])
def test_killed_and_resumed_it_ends_the_same_on_either_path(
    faster: bool, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this processor is faster at."""
    monkeypatch.setattr(arithmetic, "multiplies_bfloat16", lambda: faster)
    undisturbed, interrupted = (job_of("topk", workplace, tmp_path / name) for name in ("undisturbed", "interrupted"))
    _, expected = learn(undisturbed)
    resume, found = learn(interrupted, None, 7, checkpoints=True)
    _, measured = learn(interrupted, resume)
    assert found | measured == expected
    left, right = (ExperimentFolder(job.folder).weights for job in (undisturbed, interrupted))
    assert left.read_bytes() == right.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_after_the_last_step_is_as_good(kind: str, workplace: Path, tmp_path: Path) -> None:
    """The worker died between the last step and the saved weights; the threshold is fitted again."""
    undisturbed, late = (job_of(kind, workplace, tmp_path / name) for name in ("undisturbed", "late"))
    learn(undisturbed)
    resume, _ = learn(late, until=late.config.training.steps, checkpoints=True)
    assert resume is not None
    learn(late, resume)
    for name in ("weights", "sae_config"):
        left, right = (getattr(ExperimentFolder(job.folder), name) for job in (undisturbed, late))
        assert left.read_bytes() == right.read_bytes(), name


def test_killed_twenty_times_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.engine.killed_training", str(tmp_path), "20260101"]
    root, environment = Path(__file__).parents[2], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["steps"]) == KILLS
    assert found["steps"] == sorted(found["steps"])
    assert found["killed"] == found["never"]
