"""A training that is killed again and again, as a program: `python -m tests.engine.killed_training FOLDER SEED`.

It prints the hash of the weights of an undisturbed training and of one that SIGKILL ended `KILLS` times, each time
after some checkpoints and then some time of a seeded random number. Every life is a fork of a process in which torch
is loaded but has computed nothing: so a life begins in milliseconds, and forking is safe.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch._dynamo  # the first optimiser imports it, which would be most of a life

from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.config import ExperimentConfig
from experiments.engine.records import Checkpointed
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.training import Training, start_training
from tests.engine.synthetic_source import WIDTH, SyntheticSource, small_config

KILLS, STEPS = 20, 300
MOST_CHECKPOINTS, MOST_SECONDS = 10, 0.01


def config() -> ExperimentConfig:
    """JumpReLU, with thresholds under control and resampling every 20 steps: much that changes from step to step."""
    small = small_config(tokens=128 * STEPS, dead_after_tokens=1_024, resample_share=0.05)
    return replace(small, sae=replace(small.sae, architecture="jumprelu"))


def state_from(checkpoint: Checkpointed | None, folder: ExperimentFolder, source: SyntheticSource) -> TrainingState:
    if checkpoint:
        return load_checkpoint(checkpoint.name, checkpoint.sha256, config(), folder, "cpu")
    for _ in source.capture(0):
        pass
    return start_training(config(), source)


def life(checkpoint: Checkpointed | None, folder: ExperimentFolder, reports: int) -> None:
    """Trains on from `checkpoint` to the end; saves at every step and writes a line about it to a file descriptor."""
    torch.set_num_threads(1)
    source = SyntheticSource()
    state = state_from(checkpoint, folder, source)
    for record in Training(config(), state, source, folder, lambda: reports >= 0).run():
        if isinstance(record, Checkpointed) and reports >= 0:  # on a slow machine it is time for one anyway
            os.write(reports, f"{record.step} {record.name} {record.sha256}\n".encode())
    description = SaeDescription("jumprelu", config().sae.n_features, WIDTH, 2, "builtin", 0, "resid_post", 1e9)
    save_sae(Sae(state.trainer.folded_weights(), description), folder)


def killed_life(checkpoint: Checkpointed | None, folder: ExperimentFolder, moment: random.Random) -> Checkpointed:
    """The last checkpoint that a life reported before it was killed."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        life(checkpoint, folder, writes)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as lines:
        reported = [next(lines) for _ in range(moment.randint(1, MOST_CHECKPOINTS))]
        time.sleep(moment.uniform(0, MOST_SECONDS))
        os.kill(child, signal.SIGKILL)
        reported += [line for line in lines if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "it came to its end before it was killed"
    step, name, sha256 = reported[-1].split()
    return Checkpointed(name, sha256, int(step))


def main(root: Path, seed: int) -> None:
    moment, checkpoint = random.Random(seed), None
    killed, undisturbed = ExperimentFolder(root / "killed"), ExperimentFolder(root / "undisturbed")
    steps = []
    for _ in range(KILLS):
        checkpoint = killed_life(checkpoint, killed, moment)
        steps.append(checkpoint.step)
    life(checkpoint, killed, -1)
    life(None, undisturbed, -1)
    found = {"steps": steps, "killed": sha256_of(killed.weights), "never": sha256_of(undisturbed.weights)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
