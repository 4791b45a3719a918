"""One size of `benchmarks.growth`: trains in this process and prints seconds of each part and the peak memory."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from benchmarks import inputs
from benchmarks.growth import Size
from benchmarks.memory import peak_memory_mb
from benchmarks.ours.running import as_in_a_worker
from benchmarks.parts_of_an_experiment import REST, RULES
from benchmarks.sampling import Sampler
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig
from experiments.engine.job import Job, ResumePoint
from experiments.engine.pipeline import never
from experiments.engine.records import MemberFailed, ModelLoaded
from experiments.engine.sweep import Member, SideBySide

HEAD_WIDTH = 64
GROUPS = ("capture", "training")


def main() -> None:
    size = Size(**json.loads(sys.argv[1]))
    as_in_a_worker(size.threads)
    with tempfile.TemporaryDirectory() as folder:
        _save_model(Path(folder) / "model", size)
        print(json.dumps(_trained(Path(folder), size)))


def _save_model(folder: Path, size: Size) -> None:
    inputs.language_model()
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_embd=size.width, n_layer=2, n_head=size.width // HEAD_WIDTH)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(inputs.MODEL).save_pretrained(folder)


def _trained(folder: Path, size: Size) -> dict[str, Any]:
    members = [Member(_job(folder, size, number), ResumePoint("capture"), never) for number in range(size.members)]
    started = time.perf_counter()
    with Sampler(RULES, REST) as sampler:
        for _, record in SideBySide(members).run():
            if isinstance(record, MemberFailed):
                raise record.error
            if isinstance(record, ModelLoaded):
                started = time.perf_counter()
    total = time.perf_counter() - started
    grouped = {
        group: sum(seconds for part, seconds in sampler.seconds.items() if part.startswith(group)) for group in GROUPS
    }
    return {"total": total, "seconds": grouped, "rss_mb": peak_memory_mb()}


def _job(folder: Path, size: Size, number: int) -> Job:
    config = ExperimentConfig(
        model=ModelConfig("local", "growth"),
        corpus=CorpusConfig("upload", inputs.TEXT.name, content_hash="benchmark"),
        layer=1,
        sae=SaeConfig("topk", size.features, 32),
        training=TrainingConfig(tokens=size.tokens, segment_tokens=2**16),
        context_length=size.context_length,
        harvest_tokens=1,
        evaluation_tokens=1_024,
        seed=number,
        stream_seed=0,
    )
    cache = inputs.INPUTS / "cache"
    return Job(config, folder / str(number), str(folder / "model"), inputs.TEXT, cache, "cpu", size.threads)


if __name__ == "__main__":
    main()
