"""The conversation with a side: a spec on the command line, then one JSON document a line in each direction.

    {"run": 2}      ->  {"tokens": ..., "seconds": ..., "rss_mb": ...}
    {"fvu": true}   ->  {"fvu": ..., "rss_mb": ...}

A side says {"ready": true} when it is made, and ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from benchmarks.memory import peak_memory_mb
from benchmarks.spec import Spec

FVU_ROWS = 1_024  # held-out rows reconstructed at a time


class Side(ABC):
    """One way of doing the work of a spec."""

    @abstractmethod
    def run(self, steps: int) -> dict[str, Any]:
        """Does so many steps; returns `tokens` and `seconds`."""

    def fvu(self) -> float | None:
        """The fraction of variance unexplained on the held-out rows; None for a side that has no such number."""
        return None


class StepSide(Side):
    """Training steps on hidden states that are in memory; what is left to do is `step` and `reconstruct`."""

    def __init__(self, spec: Spec) -> None:
        import numpy as np
        import torch

        torch.set_num_threads(spec.threads)
        torch.manual_seed(0)
        states = torch.from_numpy(np.load(spec.acts))
        self.spec = spec
        self.heldout, self.states = states[-spec.heldout :].clone(), states[: -spec.heldout]
        self._position = 0

    @abstractmethod
    def step(self, states: Any) -> None:
        """One training step on a batch [tokens, d_in]."""

    @abstractmethod
    def reconstruct(self, states: Any) -> Any:
        """The reconstruction of hidden states [tokens, d_in]."""

    def run(self, steps: int) -> dict[str, Any]:
        seconds = 0.0
        for _ in range(steps):
            batch = self._next_batch()
            started = time.perf_counter()
            self.step(batch)
            seconds += time.perf_counter() - started
        return {"tokens": steps * self.spec.batch, "seconds": seconds}

    def fvu(self) -> float:
        import torch

        with torch.no_grad():
            missed = total = 0.0
            mean = self.heldout.mean(0)
            for states in self.heldout.split(FVU_ROWS):
                missed += float((self.reconstruct(states) - states).double().square().sum())
                total += float((states - mean).double().square().sum())
        return missed / total

    def _next_batch(self) -> Any:
        if self._position + self.spec.batch > len(self.states):
            self._position = 0
        start, self._position = self._position, self._position + self.spec.batch
        return self.states[start : self._position]


def serve(make: Callable[[Spec], Side]) -> None:
    """Makes the side of the spec that is the first argument, and answers until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    side = make(Spec.from_text(sys.argv[1]))
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        order = json.loads(line)
        answer = side.run(order["run"]) if "run" in order else {"fvu": side.fvu()}
        answers.write(json.dumps(answer | {"rss_mb": peak_memory_mb()}) + "\n")
