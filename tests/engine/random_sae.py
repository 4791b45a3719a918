"""Random weights and hidden states in float64, for comparing arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.kernels import Code, SparseCode, Weights


def random_weights(width: int, features: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Weights:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    weights = Weights(normal(features, width), normal(features) * 0.1, normal(features, width), normal(width))
    kernels.normalise_rows_(weights.decoder)
    return weights


def random_states(tokens: int, width: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def as_dense(code: Code, values: Tensor | None = None) -> Tensor:
    """The activations, or other values of the entries, as a full matrix [T, N]."""
    values = code.activations if values is None else values
    if not isinstance(code, SparseCode):
        return values
    return torch.zeros(len(code), code.n_features, dtype=values.dtype).index_put((code.tokens, code.features), values)
