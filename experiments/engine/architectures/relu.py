"""ReLU with an L1 penalty: the first SAEs of the field."""

from __future__ import annotations

from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures.architecture import Architecture, Batch, StepResult
from experiments.engine.kernels import Code, SparseCode, Weights


class ReLU(Architecture):
    """f = ReLU((x - b_dec) W_enc^T + b_enc), loss E|x - x^|^2 + c E|f|_1 (Bricken et al. 2023,
    Towards Monosemanticity).

    c is the `sparsity_coefficient`; rows of W_dec have length one, so f cannot escape the penalty by shrinking.
    """

    revival = "resampling"
    fires_densely_at_first = True

    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        return kernels.keep_above(pre, 0.0)

    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> Code:
        return kernels.keep_all_above_zero(pre)

    def step(self, batch: Batch, code: Code, weights: Weights) -> StepResult:
        miss, pulls = self.fit(batch, code, weights)
        error = miss * (2 / batch.tokens)
        price = self.sae.sparsity_coefficient / batch.tokens
        pulls = code.taking_part(pulls.add_(price))
        penalty = price * code.activations.sum()
        return StepResult(self.gradients(batch, code, pulls, error, weights), miss, code, penalty)
