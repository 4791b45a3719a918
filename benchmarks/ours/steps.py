"""Our training steps as a side that lives from round to round: the Trainer of `benchmarks.step`, without its start.

Variants: float32 (the path of a processor without bfloat16), dead (a tenth of the features dead in every round, so that
the auxiliary loss is active).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from benchmarks.ours.running import as_in_a_worker
from benchmarks.peers.serving import StepSide, serve
from benchmarks.spec import Spec
from benchmarks.step import kill_features, trained_sae, trainer_of
from experiments.engine.compute_path import compute_path

DEAD_SHARE = 0.1


class Steps(StepSide):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        as_in_a_worker(spec.threads)
        self._precision = "float32" if spec.variant == "float32" else "auto"
        self._first = self.states[: spec.batch]
        self._trainer = trainer_of(asdict(spec), spec.arch, self._precision, self._first)

    def run(self, steps: int) -> dict[str, Any]:
        if self.spec.variant == "dead":
            kill_features(self._trainer, DEAD_SHARE)
        return super().run(steps) | {"path": compute_path("cpu", self._precision)}

    def step(self, states: Tensor) -> None:
        self._trainer.train_on(states)

    def reconstruct(self, states: Tensor) -> Tensor:
        return trained_sae(self._trainer, asdict(self.spec), self._first).reconstruct(states)


if __name__ == "__main__":
    serve(Steps)
