"""The training of a sweep's members side by side, from one pass over the text; the variant is their number."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.inputs import INPUTS, TEXT
from benchmarks.ours.running import as_in_a_worker, finished
from benchmarks.peers.serving import Side, serve
from benchmarks.spec import Spec
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig
from experiments.engine.corpus import prepare_windows
from experiments.engine.job import Job, ResumePoint
from experiments.engine.pipeline import never
from experiments.engine.records import MemberFailed, ModelLoaded
from experiments.engine.sweep import Member, SideBySide
from experiments.engine.text_tokenizer import load_tokenizer

SEGMENT_STEPS = 4


class Sweep(Side):
    """Members that differ in their seed; the seed of the order is common.

    Timed from the model in memory on; the text is tokenized before, or the first to read it would pay for all.
    """

    def __init__(self, spec: Spec) -> None:
        as_in_a_worker(spec.threads)
        self._spec, self._members = spec, int(spec.variant)

    def run(self, steps: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            members = [
                Member(self._job(Path(folder) / str(number), number, steps), ResumePoint("capture"), never)
                for number in range(self._members)
            ]
            _tokenize(members[0].job)
            started = time.perf_counter()
            for _, record in SideBySide(members).run():
                if isinstance(record, MemberFailed):
                    raise record.error
                if isinstance(record, ModelLoaded):
                    started = time.perf_counter()
            seconds = time.perf_counter() - started
        return {"tokens": steps * self._spec.batch, "seconds": seconds, "members": self._members}

    def _job(self, folder: Path, number: int, steps: int) -> Job:
        spec = self._spec
        config = ExperimentConfig(
            model=ModelConfig("local", Path(spec.model).name),
            corpus=CorpusConfig("upload", TEXT.name, content_hash="benchmark"),
            layer=spec.layer,
            sae=SaeConfig(spec.arch, spec.d_sae, spec.k),
            training=TrainingConfig(
                tokens=steps * spec.batch, batch_tokens=spec.batch, segment_tokens=SEGMENT_STEPS * spec.batch
            ),
            context_length=spec.seq,
            harvest_tokens=1,
            seed=number,
            stream_seed=0,
        )
        return Job(config, folder, spec.model, TEXT, INPUTS / "cache", "cpu", spec.threads)


def _tokenize(job: Job) -> None:
    """Leaves the windows of `job` in the cache, where they are found from the second time on."""
    tokenizer = load_tokenizer(Path(job.model_path), job.config.model.name, "causal")
    finished(prepare_windows(job.config, tokenizer, job.corpus_path, job.cache_folder))


if __name__ == "__main__":
    serve(Sweep)
