"""Tokens per second of a TopK training step on a GPU, beside what its matrix products allow and beside sparsify.

    make bench-gpu                              # or: python -m benchmarks.gpu
    SPARSIFY_PYTHON=.../bin/python make bench-gpu

`SPARSIFY_PYTHON` names the interpreter of an environment with `eai-sparsify` and torch for CUDA; its kernels are then
timed on the same shapes. The limit is that of a step whose only dense product is the encoder's, in bfloat16, at the
speed measured in the same rounds. `--device cpu --small` tries the command itself, where there is no GPU.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from experiments.engine import devices
from experiments.engine.compute_path import compute_path
from experiments.engine.config import SaeConfig, TrainingConfig
from experiments.engine.input_statistics import measure
from experiments.engine.machine import cpu_threads
from experiments.engine.trainer import Trainer, initial_weights

ROOT = Path(__file__).resolve().parent.parent
BATCHES = 4  # different ones, in turn
NO_GPU = "make bench-gpu measures a GPU, and torch finds none with CUDA here."


@dataclass(frozen=True)
class Shape:
    """What is trained: hidden states of `width` numbers, `n_features` of which `k` fire, `tokens` a step."""

    width: int
    n_features: int
    k: int
    tokens: int
    steps: int
    rounds: int


SHAPES = (Shape(768, 24_576, 64, 16_384, 20, 5), Shape(2_304, 65_536, 64, 16_384, 10, 5))
SMALL = (Shape(32, 256, 8, 128, 2, 2), Shape(64, 512, 8, 128, 2, 2))


def main(arguments: list[str]) -> int:
    """Prints a line for each shape; returns the exit code, 1 where there is nothing to measure on."""
    options = _options(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return 1
    devices.prepare(options.device, cpu_threads())
    print(f"{compute_path(options.device, 'auto')} · torch {torch.__version__}")
    for shape in SMALL if options.small else SHAPES:
        _report(shape, options.device)
    return 0


def _options(arguments: list[str]) -> Namespace:
    parser = ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, which say nothing about speed")
    return parser.parse_args(arguments)


def _report(shape: Shape, device: str) -> None:
    print(f"width {shape.width:,}, {shape.n_features:,} features, k {shape.k}, {shape.tokens:,} tokens a step")
    ours, product = _rounds(shape, device)
    flops = 2 * shape.width * shape.n_features * shape.tokens
    limit = shape.tokens / product
    print(f"  encoder's product   {flops / product / 1e12:10.2f} TFLOP/s in bfloat16: at most {limit:,.0f} tokens/s")
    print(f"  Latent Lens         {shape.tokens / ours:10,.0f} tokens/s, {product / ours:.1%} of that")
    print(f"  memory at most      {_memory(device) / 2**30:10.2f} GiB")
    peer = _sparsify(shape, device)
    if peer is not None:
        ratio = shape.tokens / ours / peer["tokens_per_second"]
        print(f"  sparsify            {peer['tokens_per_second']:10,.0f} tokens/s, Latent Lens / sparsify {ratio:.2f}")
        print(f"  its memory at most  {peer['memory_bytes'] / 2**30:10.2f} GiB")


def _rounds(shape: Shape, device: str) -> tuple[float, float]:
    """Seconds of a training step, and of the encoder's product alone: medians of rounds that take turns."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    states = torch.randn(
        BATCHES, shape.tokens, shape.width, generator=torch.Generator(device).manual_seed(0), device=device
    )
    trainer = _trainer(shape, states[0])
    left, right = states[0].bfloat16(), trainer.weights.encoder.bfloat16().T
    product = torch.empty(shape.tokens, shape.n_features, dtype=torch.bfloat16, device=device)
    steps, products = [], []
    for _ in range(shape.rounds + 1):
        steps.append(_seconds(lambda number: trainer.train_on(states[number % BATCHES]), shape.steps, device))
        products.append(_seconds(lambda _number: torch.mm(left, right, out=product), shape.steps, device))
    return statistics.median(steps[1:]), statistics.median(products[1:])  # the first round warms up


def _trainer(shape: Shape, first: Tensor) -> Trainer:
    sae = SaeConfig("topk", shape.n_features, shape.k)
    training = TrainingConfig(tokens=10**10, batch_tokens=shape.tokens, schedule="constant", warmup_share=0.0)
    statistics_of_first = measure(first, first)
    return Trainer(sae, training, initial_weights(sae, statistics_of_first, seed=0), statistics_of_first.scales)


def _seconds(work: Callable[[int], object], times: int, device: str) -> float:
    """Of one call among `times`, all of which have ended."""
    _wait(device)
    started = time.perf_counter()
    for number in range(times):
        work(number)
    _wait(device)
    return (time.perf_counter() - started) / times


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sparsify(shape: Shape, device: str) -> dict[str, float] | None:
    """What the peer measures of itself; None without the variable. A peer that fails says so and stops nothing."""
    python = os.environ.get("SPARSIFY_PYTHON")
    if not python:
        return None
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    command = [python, "-m", "benchmarks.sparsify_on_gpu", json.dumps(asdict(shape) | {"device": device})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(f"  sparsify failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
