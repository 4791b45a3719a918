"""dictionary_learning: the `update` of its trainers."""

from __future__ import annotations

from typing import Any

import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer

from benchmarks.peers.serving import StepSide, serve
from benchmarks.spec import Spec

NEVER_ENDING = 10**6  # steps announced, so that no schedule sets in


class Steps(StepSide):
    """Its first step also finds a geometric median; it belongs to the warm-up."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        common: dict[str, Any] = {
            "steps": NEVER_ENDING,
            "activation_dim": spec.d_in,
            "dict_size": spec.d_sae,
            "layer": 0,
            "lm_name": "none",
            "device": "cpu",
            "warmup_steps": 0,
            "lr": spec.lr,
        }
        if spec.arch == "topk":
            self.trainer = TopKTrainer(k=spec.k, **common)
        elif spec.arch == "batchtopk":
            self.trainer = BatchTopKTrainer(k=spec.k, **common)
        else:
            self.trainer = StandardTrainer(l1_penalty=spec.l1, sparsity_warmup_steps=None, **common)
        self.steps_done = 0

    def step(self, states: torch.Tensor) -> None:
        self.trainer.update(self.steps_done, states)
        self.steps_done += 1

    def reconstruct(self, states: torch.Tensor) -> torch.Tensor:
        reconstruction: torch.Tensor = self.trainer.ae(states)
        return reconstruction


if __name__ == "__main__":
    serve(Steps)
