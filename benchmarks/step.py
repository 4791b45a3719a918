"""Tokens per second of the training step, alone or end to end, for a harness that puts other trainers beside it.

    BENCH_SPEC='{"mode": "sae", "d_sae": 24576, ...}' python -m benchmarks.step [--architecture batchtopk]

`BENCH_SPEC` is a JSON object: mode (sae or e2e), d_in, d_sae, k, l1, lr, batch, steps, warmup, threads; for sae `acts`,
a .npy file of hidden states [n, d_in] whose last `heldout` are for the quality; for e2e `seq` and `layer`. The last
line printed is {"tokens_per_s", "fvu", "rss_mb", "path"}: the median over the timed steps, the share of variance that
is not explained, the largest memory, and how it was computed. Imports, compiling and warm-up are not timed. It is the
Trainer that experiments use, with their defaults but for what `BENCH_SPEC` says and a constant learning rate.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.memory import peak_memory_mb
from experiments.engine.capture import Reading, capture_batches
from experiments.engine.compute_path import compute_path
from experiments.engine.config import ARCHITECTURES, Place, SaeConfig, TrainingConfig
from experiments.engine.input_statistics import measure
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_card import ModelCard
from experiments.engine.sae import Sae, SaeDescription
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.trainer import Trainer, initial_weights
from experiments.engine.windows import Windows
from latentlens.lib.large_blocks import keep_large_blocks

DECODED_AT_ONCE = 1_024
DEAD_STRENGTH = 0.05
LONG_AGO = 10**12  # tokens since a dead feature fired
OF_WORKERS = {"OMP_WAIT_POLICY": "passive", "THP_MEM_ALLOC_ENABLE": "1"}
Spec = dict[str, Any]


def main() -> None:
    spec = json.loads(os.environ["BENCH_SPEC"])
    options = _options(spec)
    _be_as_a_worker(spec["threads"])
    measured = _end_to_end(spec, options) if spec["mode"] == "e2e" else _steps_alone(spec, options)
    path = compute_path("cpu", options.precision)
    print(json.dumps(measured | {"rss_mb": peak_memory_mb(), "path": path}))


def _be_as_a_worker(threads: int) -> None:
    """Workers have this by themselves (latentlens/settings.py); torch reads it when it is loaded, so begin anew."""
    missing = {name: value for name, value in OF_WORKERS.items() if name not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]], os.environ | missing)
    keep_large_blocks()
    torch.set_num_threads(threads)


def _options(spec: Spec) -> Namespace:
    parser = ArgumentParser(prog="benchmarks.step", description=__doc__)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=spec.get("arch", "topk"))
    parser.add_argument("--precision", choices=("auto", "float32"), default="auto")
    parser.add_argument("--dead-share", type=float, default=0.0, help="share of the features that count as dead")
    return parser.parse_args()


def trainer_of(spec: Spec, architecture: str, precision: str, first: Tensor) -> Trainer:
    """The trainer of a spec before its first step; `first` is the batch that the weights start from."""
    sae = SaeConfig(architecture, spec["d_sae"], spec["k"], sparsity_coefficient=spec.get("l1", 0.1))
    training = TrainingConfig(
        tokens=10**9, batch_tokens=spec["batch"], learning_rate=spec["lr"], schedule="constant", warmup_share=0.0,
        precision=precision,
    )  # fmt: skip
    statistics = measure(first, first)
    return Trainer(sae, training, initial_weights(sae, statistics, seed=0), statistics.scales)


def kill_features(trainer: Trainer, share: float) -> None:
    """Lets a share of the features count as dead, so that the auxiliary loss has something to do.

    They are too weak to be among the largest, but above zero on some tokens, as dead features are.
    """
    features = len(trainer.tokens_since_fired)
    dead = torch.from_numpy(np.random.default_rng(0).permutation(features)[: round(share * features)])
    trainer.weights.encoder[dead] *= DEAD_STRENGTH
    trainer.tokens_since_fired[dead] = LONG_AGO


def _trainer(spec: Spec, options: Namespace, first: Tensor) -> Trainer:
    trainer = trainer_of(spec, options.architecture, options.precision, first)
    kill_features(trainer, options.dead_share)
    return trainer


def _steps_alone(spec: Spec, options: Namespace) -> dict[str, float]:
    states = torch.from_numpy(np.load(spec["acts"]))
    held_out, states = states[-spec["heldout"] :].clone(), states[: -spec["heldout"]]
    batches = torch.split(states, spec["batch"])
    batches = [batch for batch in batches if len(batch) == spec["batch"]]
    trainer, seconds = _trainer(spec, options, batches[0]), []
    for step in range(spec["warmup"] + spec["steps"]):
        started = time.perf_counter()
        trainer.train_on(batches[step % len(batches)])
        seconds.append(time.perf_counter() - started)
    per_step = statistics.median(seconds[spec["warmup"] :])
    fvu = _fvu(trained_sae(trainer, spec, batches[0]), held_out)
    return {"tokens_per_s": spec["batch"] / per_step, "fvu": fvu}


def _end_to_end(spec: Spec, options: Namespace) -> dict[str, float | None]:
    """Tokens through the first blocks of GPT-2's shape with random weights, into the trainer."""
    batches = _captured(spec)
    trainer, seconds = _trainer(spec, options, next(batches)), []
    for _ in range(spec["warmup"] + spec["steps"]):
        started = time.perf_counter()
        trainer.train_on(next(batches))
        seconds.append(time.perf_counter() - started)
    return {"tokens_per_s": spec["batch"] / statistics.median(seconds[spec["warmup"] :]), "fvu": None}


def _captured(spec: Spec) -> Iterator[Tensor]:
    """Hidden states [batch, 768] after block `layer`, without end."""
    model, random = _gpt2_of_random_weights(), np.random.default_rng(0)
    reading, windows = Reading(Place(spec["layer"], "resid_post")), spec["batch"] // spec["seq"]
    while True:
        tokens = random.integers(0, 50_257, (windows, spec["seq"])).astype(np.int32)
        yield torch.cat([batch.states for (batch,) in capture_batches(model, _as_windows(tokens), [reading])])


def _gpt2_of_random_weights() -> LanguageModel:
    sizes = GPT2Config()
    shape = (sizes.n_layer, sizes.n_embd, sizes.n_positions, sizes.vocab_size)
    card = ModelCard("shape of GPT-2", "gpt2", *shape, parameters=None, weights_bytes=0, kind="causal")
    module = GPT2LMHeadModel(sizes).eval().requires_grad_(False)
    return LanguageModel(module, None, card, None, has_head=True)  # type: ignore[arg-type]  # nothing is tokenized


def _as_windows(tokens: NDArray[np.int32]) -> Windows:
    return Windows(tokens, np.zeros(tokens.shape, np.int32), np.zeros(tokens.shape, np.bool_))


def trained_sae(trainer: Trainer, spec: Spec, fitted_on: Tensor) -> Sae:
    """The SAE as it would be saved, for hidden states as they are; a threshold is fitted on `fitted_on`."""
    weights, sae = trainer.folded_weights(), trainer.architecture.sae
    if trainer.architecture.has_fitted_threshold:
        fit = ThresholdFit(trainer.architecture, weights, sae.k)
        fit.add(fitted_on)
        weights = fit.fitted()
    about = SaeDescription(sae.architecture, sae.n_features, spec["d_in"], sae.k, "benchmark", 0, "resid_post", 1e9)
    return Sae(weights, about)


def _fvu(trained: Sae, held_out: Tensor) -> float:
    missed = sum(float((trained.reconstruct(x) - x).double().square().sum()) for x in held_out.split(DECODED_AT_ONCE))
    return missed / float((held_out - held_out.mean(0)).double().square().sum())


if __name__ == "__main__":
    main()
