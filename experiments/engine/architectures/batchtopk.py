"""BatchTopK: the k T strongest activations of a batch of T tokens, so that a token may have more or fewer than k."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures.architecture import Architecture
from experiments.engine.kernels import SparseCode, Weights


class BatchTopK(Architecture):
    """f = BatchTopK(ReLU((x - b_dec) W_enc^T + b_enc)), x^ = f W_dec + b_dec (Bussmann et al. 2024, arXiv:2412.06410).

    After training a feature fires above one threshold for all, fitted on held-out text so that E|f|_0 = k. From then on
    the code of a token does not depend on what else is in its batch.
    """

    has_fitted_threshold = True

    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        if weights.threshold is None:
            raise ValueError("the threshold of this SAE has not been fitted yet")
        return kernels.keep_above(pre, weights.threshold)

    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> SparseCode:
        return kernels.keep_above(pre, cutoff)

    def candidates(self, pre: Tensor, tokens: int) -> Tensor:
        return kernels.largest_values(pre, self.sae.k * tokens)

    def cutoff(self, candidates: Tensor, tokens: int) -> Tensor | float:
        """Just below the last activation that is kept; equal ones are kept together."""
        wanted = self.sae.k * tokens
        if len(candidates) == 0:
            return 0.0
        last = candidates.sort(descending=True).values[: min(wanted, len(candidates))][-1]
        return torch.nextafter(last, torch.zeros_like(last))

    def scores(self, pre: Tensor, weights: Weights) -> Tensor:
        return pre

    def with_factor(self, weights: Weights, factor: float) -> Weights:
        return weights._replace(threshold=torch.full_like(weights.encoder_bias, max(factor, math.ulp(0.0))))
