"""Ours from tokens to the last training step: the engine's own pipeline, from the moment that the model is in memory.

What it reads is tokenized before, as it is for the peers. A run is a whole experiment's capture and training, with the
start of the weights; only writing them in the end is left out.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.inputs import INPUTS, TEXT
from benchmarks.ours.running import as_in_a_worker
from benchmarks.peers.serving import Side, serve
from benchmarks.spec import Spec
from experiments.engine import pipeline
from experiments.engine.compute_path import compute_path
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig
from experiments.engine.job import Job
from experiments.engine.records import Measurement, ModelLoaded

SEGMENT_STEPS = 4  # hidden states of so many batches are captured and shuffled together
LEAST_STEPS = 2 * SEGMENT_STEPS


class EndToEnd(Side):
    def __init__(self, spec: Spec) -> None:
        as_in_a_worker(spec.threads)
        self._spec = spec
        self._path = compute_path("cpu")

    def run(self, steps: int) -> dict[str, Any]:
        steps = max(steps, LEAST_STEPS)
        with tempfile.TemporaryDirectory() as folder:
            seconds = self._until_last_step(Path(folder), steps)
        return {"tokens": steps * self._spec.batch, "seconds": seconds, "steps": steps, "path": self._path}

    def _until_last_step(self, folder: Path, steps: int) -> float:
        started = time.perf_counter()
        records = pipeline.run(self._job(folder, steps))
        for record in records:
            if isinstance(record, ModelLoaded):
                started = time.perf_counter()
            if isinstance(record, Measurement) and record.step == steps:
                break
        seconds = time.perf_counter() - started
        records.close()  # type: ignore[attr-defined]  # it is a generator
        return seconds

    def _job(self, folder: Path, steps: int) -> Job:
        spec = self._spec
        config = ExperimentConfig(
            model=ModelConfig("local", Path(spec.model).name),
            corpus=CorpusConfig("upload", TEXT.name, content_hash="benchmark"),
            layer=spec.layer,
            sae=SaeConfig(spec.arch, spec.d_sae, spec.k),
            training=TrainingConfig(
                tokens=steps * spec.batch,
                batch_tokens=spec.batch,
                learning_rate=spec.lr,
                segment_tokens=SEGMENT_STEPS * spec.batch,
                checkpoint_seconds=86_400.0,
            ),
            context_length=spec.seq,
            harvest_tokens=1,
        )
        return Job(config, folder, spec.model, TEXT, INPUTS / "cache", "cpu", spec.threads)


if __name__ == "__main__":
    serve(EndToEnd)
