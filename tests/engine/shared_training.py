"""A process of several that train one SAE: `torchrun --nproc-per-node 2 -m tests.engine.shared_training FOLDER`.

It writes the weights that it ends with for every architecture of `KINDS`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed

from experiments.engine.config import ARCHITECTURES
from experiments.engine.input_statistics import measure
from experiments.engine.processes import Processes, joined_processes
from experiments.engine.trainer import Trainer, initial_weights
from tests.engine.synthetic_source import planted_states, small_config

KINDS = ARCHITECTURES
STEPS, BATCH = 40, 130  # a batch that two processes share, and three would not share evenly


def trained(kind: str, processes: Processes) -> dict[str, Tensor]:
    """Weights after steps with dead features, and in how many of them an auxiliary loss or resampling revived some."""
    config = small_config(tokens=BATCH * STEPS, batch_tokens=BATCH, dead_after_tokens=300, resample_share=0.2)
    sae = replace(config.sae, architecture=kind)
    if kind in (
        "relu",
        "gated",
    ):  # half a batch may be sparse where all of it is dense, which bfloat16 rounds otherwise
        config = replace(config, training=replace(config.training, precision="float32"))
    states = planted_states(BATCH * STEPS, seed=1) - 2.5
    statistics = measure(states, states)
    weights = initial_weights(sae, statistics, config.seed + processes.rank)  # the first one's are taken
    trainer = Trainer(sae, config.training, weights, statistics.scales, seed=config.seed)
    trainer.join(processes)
    trainer.weights.encoder_bias[:8] = -5.0
    outcomes = [trainer.train_on(states[step * BATCH : (step + 1) * BATCH]) for step in range(STEPS)]
    revived = sum(outcome.auxiliary_loss > 0 or outcome.resampled > 0 for outcome in outcomes)
    return {**trainer.weights.present(), "steps that revived features": torch.tensor(revived)}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    processes = joined_processes()
    for kind in KINDS:
        save_file(trained(kind, processes), folder / f"{kind}-{processes.rank}.safetensors")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
