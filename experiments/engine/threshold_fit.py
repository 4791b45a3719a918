"""The threshold above which features fire once training is over, so that k of them do on average.

In training BatchTopK and its kin compare the tokens of a batch; afterwards each token has to decide alone. The factor
that gives E|f|_0 = k is found on held-out text: activations are counted by their size, finely enough (a bin is 0.02%
wide) that the count, and so the mean L0, is exact to a few firings in ten thousand. JumpReLU, whose controller comes
close to k, has all its thresholds multiplied by one factor in the same way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures import Architecture
from experiments.engine.kernels import Weights

DROPPED_BITS = 11  # of the 23 of a float32's fraction: bins are 2^-12 wide, relative to their place
BINS = 2**31 >> DROPPED_BITS
# The largest activations of the first tokens, so many times as many as wanted, say where counting begins.
MARGIN = 4
ROWS_AT_ONCE = 2**23


class ThresholdFit:
    """Counts the scores of hidden states; `weights` are those after training, for unscaled hidden states."""

    def __init__(self, architecture: Architecture, weights: Weights, k: int) -> None:
        self._architecture, self._weights, self._k = architecture, weights, k
        self._counts = torch.zeros(BINS, dtype=torch.int64, device=weights.decoder.device)
        self._floor: float | None = None
        self.tokens = 0

    @torch.no_grad()
    def add(self, inputs: Tensor) -> None:
        """Counts float32 hidden states [T, W]."""
        rows = max(1, ROWS_AT_ONCE // self._weights.n_features)
        for chunk in torch.split(inputs, rows):
            pre = self._architecture.pre_activations(chunk, self._weights)
            scores = self._architecture.scores(pre, self._weights)
            if self._floor is None:
                self._floor = self._floor_of(scores)
            bits = scores[scores > self._floor].view(torch.int32) >> DROPPED_BITS
            self._counts += torch.bincount(bits, minlength=BINS)
            self.tokens += len(chunk)

    def factor(self) -> float:
        """Above it, k scores per token were counted on average; or all that are positive, where there are fewer.

        The bounds of bins are candidates; the one whose count is nearest to k is taken.
        """
        from_above = self._counts.flip(0).cumsum(0).flip(0)  # [BINS] scores in this bin or a larger one
        nearest = int((from_above - self._k * self.tokens).abs().argmin())
        lower = torch.tensor(nearest << DROPPED_BITS, dtype=torch.int32).view(torch.float32)
        below = torch.nextafter(lower, torch.zeros(()))  # a score fires above the factor, and this bin is to fire
        return max(float(below), self._floor or 0.0)

    def fitted(self) -> Weights:
        """The weights with the threshold in them. Raises ValueError when no hidden state was added."""
        if not self.tokens:
            raise ValueError("a threshold needs hidden states to be fitted on")
        return self._architecture.with_factor(self._weights, self.factor())

    def _floor_of(self, scores: Tensor) -> float:
        wanted = MARGIN * self._k * len(scores)
        largest = kernels.largest_values(scores, wanted)
        return float(largest[-1]) if len(largest) == wanted else 0.0
