"""TopK: the k strongest features of every token."""

from __future__ import annotations

from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures.architecture import Architecture
from experiments.engine.kernels import SparseCode, Weights


class TopK(Architecture):
    """f = TopK(ReLU((x - b_dec) W_enc^T + b_enc)), x^ = f W_dec + b_dec (Gao et al. 2024, arXiv:2406.04093)."""

    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        return kernels.keep_largest_per_token(pre, self.sae.k).firing()

    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> SparseCode:
        return kernels.keep_largest_per_token(pre, self.sae.k)
