"""JumpReLU: every feature has a threshold of its own, below which it is silent."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures.architecture import Architecture, Batch, StepResult
from experiments.engine.config import SaeConfig
from experiments.engine.kernels import Code, SparseCode, Weights

# How much of the distance to the target L0 one step closes, in logarithms; and the most that one step may change.
CONTROLLER_GAIN = 0.05
CONTROLLER_LIMIT = 1.0
SMALLEST_THRESHOLD = 1e-6


class JumpReLU(Architecture):
    """f = p [p > theta] with p = (x - b_dec) W_enc^T + b_enc, x^ = f W_dec + b_dec (Rajamanoharan et al. 2024,
    arXiv:2407.14435).

    Loss E|x - x^|^2 + c E|f|_0, whose gradients with respect to theta are taken with a rectangular kernel of width
    `bandwidth`. No c is asked for: a controller holds E|f|_0 at k. It moves the common factor of the thresholds; and c
    is the price at which the gradient does not, so that training decides only how the features share what k allows.

    The auxiliary loss sees dead features without their thresholds, which they outgrow. Resampled ones would all cross
    theirs at once: they pushed L0 to four times k, and the error to the double of the variance.
    """

    has_fitted_threshold = True

    def __init__(self, sae: SaeConfig) -> None:
        super().__init__(sae)
        self._common: Tensor | None = None  # mean log threshold before the optimiser's step

    def extra_weights(self, pre: Tensor) -> Mapping[str, Tensor]:
        """All thresholds where k features fire on the first tokens, on average."""
        largest = kernels.largest_values(pre, self.sae.k * len(pre))
        start = max(float(largest[-1]) if len(largest) else 0.0, SMALLEST_THRESHOLD)
        return {"threshold": torch.full((pre.shape[1],), start, device=pre.device)}

    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        return kernels.keep_above(pre, _thresholds(weights))

    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> SparseCode:
        """Whatever fires, and what the kernel sees just below; the activations are pre-activations."""
        return kernels.keep_above(pre, (_thresholds(weights) - self.sae.bandwidth / 2).clamp_min_(0.0))

    def step(self, batch: Batch, code: Code, weights: Weights) -> StepResult:
        pre, thresholds = code.activations, code.spread(_thresholds(weights))
        fires = pre > thresholds
        code = code.with_activations(pre * fires)
        miss, pulls = self.fit(batch, code, weights)
        error = miss * (2 / batch.tokens)
        gradients = self.gradients(batch, code, pulls * fires, error, weights)
        near = ((pre - thresholds).abs() < self.sae.bandwidth / 2).to(pre.dtype) / self.sae.bandwidth
        of_error = -code.total_by_feature(near * pulls * thresholds)
        of_l0 = -code.total_by_feature(near) / batch.tokens
        gradients = gradients._replace(threshold=of_error)
        return StepResult(gradients, miss, code, miss.new_zeros(()), sparsity=of_l0)

    def settled(self, result: StepResult, weights: Weights) -> Weights:
        """With the c >= 0 at which error and sparsity balance for a common factor of all thresholds."""
        of_error, of_l0 = result.gradients.threshold, result.sparsity
        assert of_error is not None, "each step says both"
        assert of_l0 is not None, "each step says both"
        thresholds = _thresholds(weights)
        self._common = thresholds.log().mean()
        balance = -(thresholds * of_error).sum() / (thresholds * of_l0).sum().clamp_max(-1e-12)
        return result.gradients._replace(threshold=of_error + balance.clamp_min_(0.0) * of_l0)

    def adjust(self, weights: Weights, l0: float) -> None:
        """The optimiser has shared out the thresholds; how large they are in common is the controller's to say."""
        super().adjust(weights, l0)
        thresholds = _thresholds(weights).clamp_min_(SMALLEST_THRESHOLD)
        assert self._common is not None, "the gradients of this step have been settled"
        moved = thresholds.log().mean() - self._common
        distance = math.log(max(l0, 0.1) / self.sae.k)
        wanted = CONTROLLER_GAIN * max(-CONTROLLER_LIMIT, min(CONTROLLER_LIMIT, distance))
        thresholds.mul_((wanted - moved).exp_()).clamp_min_(SMALLEST_THRESHOLD)

    def scores(self, pre: Tensor, weights: Weights) -> Tensor:
        return pre / _thresholds(weights)

    def with_factor(self, weights: Weights, factor: float) -> Weights:
        return weights._replace(threshold=_thresholds(weights) * factor)


def _thresholds(weights: Weights) -> Tensor:
    assert weights.threshold is not None, "a JumpReLU SAE has thresholds"
    return weights.threshold
