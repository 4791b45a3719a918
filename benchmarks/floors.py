"""What each part of an experiment cannot be faster than on this machine: its arithmetic, or its bytes, at speeds that
are measured here, in the same process and after the run."""

from __future__ import annotations

import json
import re
import sqlite3
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.engine.kernels.arithmetic import multiplies_bfloat16
from experiments.models import Experiment
from experiments.runner import job_of

TIMES = 5  # each speed is the median of so many
TEXTS = 200  # tokenized to learn the tokenizer's speed


@dataclass(frozen=True)
class Speeds:
    """Of this machine with the threads of the run."""

    operations: float  # per second: float32 or bfloat16 matrix products, whichever is faster
    copied: float  # bytes per second, into memory that is there
    written: float  # bytes per second, synced to the disk of the data folder
    sorted_keys: float  # 64-bit keys per second
    tokenized: float  # tokens per second, by the tokenizer alone


def floors_of(experiment: Experiment) -> dict[str, tuple[float, str]]:
    """For parts of a finished experiment: the least seconds, and what they are."""
    job = job_of(experiment)
    config, counts = job.config, _Counts(job.model_path, job.config.layer)
    speeds = _speeds(job.model_path, job.folder)
    tokens = config.training.tokens
    evaluated, predicted = config.evaluation_tokens, min(config.splice_tokens, config.evaluation_tokens)
    encoder = 2 * config.sae.n_features * counts.width
    weights_bytes = 4 * 2 * config.sae.n_features * counts.width
    index = job.folder / "index"
    harvested = config.harvest_tokens
    activations = _rows(index / "activations.parquet")
    described = 2 * config.sae.n_features * counts.width * (config.sae.n_features + counts.vocabulary)
    read, read_whole = counts.to_layer, counts.whole

    def operations(amount: float, what: str) -> tuple[float, str]:
        return amount / speeds.operations, what

    return {
        "loading the model": (counts.bytes / speeds.copied, "the bytes of its weights, copied once"),
        "text: tokenizing": (
            (tokens + evaluated) / speeds.tokenized,
            "the tokenizer alone, once over what is trained and measured on",
        ),
        "capture: forward": operations(tokens * read, "matrix products of the blocks up to the layer"),
        "capture: hand-over": (8 * tokens * counts.width / speeds.copied, "hidden states copied once"),
        "training: batches": (8 * tokens * counts.width / speeds.copied, "hidden states gathered once, shuffled"),
        "training: steps": operations(tokens * encoder, "the encoder's matrix product"),
        "checkpoint writes": (0.0, "none while nothing goes wrong; one is 3 times the weights"),
        "training: threshold and files": (weights_bytes / speeds.written, "the weights on disk"),
        "evaluation: forward": operations(evaluated * read, "the blocks up to the layer"),
        "evaluation: codes and numbers": operations(evaluated * encoder, "the encoder's matrix product"),
        "evaluation: predictions, whole model": operations(4 * predicted * read_whole, "the whole model, four times"),
        "harvest: forward": operations(harvested * read, "the blocks up to the layer"),
        "harvest: encode": operations(harvested * encoder, "the encoder's matrix product"),
        "harvest: sort": (activations / speeds.sorted_keys, "one sort of as many 64-bit keys"),
        "harvest: logit lens and neighbours": operations(described, "decoder times vocabulary and decoder"),
        "import: rows into the database": (_insert_seconds(config.sae.n_features), "the same rows in plain SQLite"),
    }


class _Counts:
    """What is in a model's safetensors files."""

    def __init__(self, folder: str, layer: int) -> None:
        self.bytes, self.to_layer, self.whole, self.vocabulary, self.width = 0, 0.0, 0.0, 0, 0
        config = json.loads((Path(folder) / "config.json").read_text())
        self.vocabulary = config["vocab_size"]
        self.width = config.get("hidden_size") or config["n_embd"]
        for path in Path(folder).glob("*.safetensors"):
            self.bytes += path.stat().st_size
            for name, shape in _shapes(path).items():
                block = re.search(r"\.(\d+)\.", name)
                if block and len(shape) == 2:
                    self.whole += 2 * prod(shape)
                    self.to_layer += 2 * prod(shape) if int(block[1]) <= layer else 0
        self.whole += 2 * self.vocabulary * self.width


def _shapes(path: Path) -> dict[str, list[int]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {name: about["shape"] for name, about in header.items() if name != "__metadata__"}


def _rows(path: Path) -> int:
    from pyarrow.parquet import ParquetFile

    return int(ParquetFile(path).metadata.num_rows)


def _speeds(model: str, folder: Path) -> Speeds:
    size = 2_048
    products = []
    for dtype in (torch.float32, *([torch.bfloat16] if multiplies_bfloat16() else [])):
        left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        out = torch.empty(size, size, dtype=dtype)
        products.append(2 * size**3 / _seconds(lambda: torch.mm(left, right, out=out)))  # noqa: B023 - called at once
    source, target = torch.ones(2**24), torch.ones(2**24)
    keys = np.random.default_rng(0).integers(0, 2**63, 2**20, dtype=np.uint64)
    return Speeds(
        operations=max(products),
        copied=source.nbytes / _seconds(lambda: target.copy_(source)),
        written=_written_per_second(folder),
        sorted_keys=len(keys) / _seconds(lambda: np.sort(keys)),
        tokenized=_tokenized_per_second(Path(model)),
    )


def _seconds(work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _written_per_second(folder: Path) -> float:
    import os

    content = np.random.default_rng(0).bytes(2**24)

    def write() -> None:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    return len(content) / _seconds(write)


def _tokenized_per_second(model: Path) -> float:
    from experiments.engine.builtin.corpus import TRAINING_SEED, document
    from experiments.engine.text_tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model, model.name, "causal")
    texts = [document(TRAINING_SEED, number).text for number in range(TEXTS)]
    tokens = sum(map(len, tokenizer.encode(texts)))
    return tokens / _seconds(lambda: tokenizer.encode(texts))


def _insert_seconds(rows: int) -> float:
    """Rows of two JSON texts as large as a feature's, by one statement in one transaction, into SQLite in memory."""
    values = [(number, "x" * 3_000, "x" * 5_000) for number in range(min(rows, 4_096))]
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE feature (number INTEGER PRIMARY KEY, card TEXT, summary TEXT)")
        started = time.perf_counter()
        database.executemany("INSERT INTO feature VALUES (?, ?, ?)", values)
    return (time.perf_counter() - started) * rows / len(values)
