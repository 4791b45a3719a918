"""Ours as a side of the comparison of quality: the engine's trainer, from weights that another side begins with too.

Variant float32 is the path of a processor without bfloat16, against which the fast path is held.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from benchmarks.ours.running import as_in_a_worker
from benchmarks.peers.serving import StepSide, serve
from benchmarks.spec import Spec
from experiments.engine.config import SaeConfig, TrainingConfig
from experiments.engine.input_statistics import Scales
from experiments.engine.kernels import Weights
from experiments.engine.sae import Sae, SaeDescription
from experiments.engine.trainer import Trainer


class Steps(StepSide):
    """No warm-up, no auxiliary loss: nothing that the other side does not do."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        as_in_a_worker(spec.threads)
        sae = SaeConfig(spec.arch, spec.d_sae, spec.k)
        training = TrainingConfig(
            tokens=spec.steps * spec.batch,
            batch_tokens=spec.batch,
            learning_rate=spec.lr,
            warmup_share=0.0,
            decay_share=spec.decay / spec.steps,
            aux_k_coefficient=0.0,
            precision="float32" if spec.variant == "float32" else "auto",
        )
        # The engine scales hidden states to a mean squared norm of one, and its weights are for those.
        scale = 1 / math.sqrt(float(self.states.square().sum(1).mean()))
        init = {name: torch.from_numpy(weight) for name, weight in np.load(spec.init).items()}
        weights = Weights(
            encoder=init["encoder"].clone(),
            encoder_bias=init["encoder_bias"] * scale,
            decoder=init["decoder"].clone(),
            decoder_bias=init["decoder_bias"] * scale,
        )
        self._trainer = Trainer(sae, training, weights, Scales(scale, scale))
        self._about = SaeDescription("topk", spec.d_sae, spec.d_in, spec.k, "none", 0, "resid_post", math.inf)

    def step(self, states: Tensor) -> None:
        self._trainer.train_on(states)

    def reconstruct(self, states: Tensor) -> Tensor:
        return Sae(self._trainer.folded_weights(), self._about).reconstruct(states)


if __name__ == "__main__":
    serve(Steps)
