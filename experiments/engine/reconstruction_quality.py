"""How well an SAE reconstructs: sums over all held-out tokens in float64, and the numbers that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.document_sums import DocumentSums, intervals_of, numbers_of
from experiments.engine.kernels import SparseCode

# What is summed over the tokens of each document, before the hidden state itself.
_SUMS = ("tokens", "error", "distance", "cosine", "length_ratio", "rebuilt_norm", "dot", "firings", "activation")


class ReconstructionSums:
    """Collects batches; every number is of all tokens seen, never a mean of batch means."""

    def __init__(self, width: int) -> None:
        self.tokens = 0
        self._width = width
        self._origin: Tensor | None = None  # states are taken from the first batch's mean, to keep their digits
        self._documents = DocumentSums(len(_SUMS) + width)
        self._scatter = torch.zeros(width, width, dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """The mean hidden state, float64 [width] on the CPU."""
        if self._origin is None:
            return torch.zeros(self._width, dtype=torch.float64)
        return self._origin.cpu().double() + self._offset

    def add(
        self, states: Tensor, code: SparseCode, reconstruction: Tensor, documents: NDArray[np.integer[Any]]
    ) -> None:
        """Takes hidden states and their reconstructions [T, width], the code that gave them, and documents [T]."""
        if len(states) == 0:
            return
        if self._origin is None:
            self._origin = states.mean(0)
        self.tokens += len(states)
        shifted = states - self._origin
        self._documents.add(documents, torch.cat([_summands(states, shifted, reconstruction, code), shifted], 1))
        self._scatter += (shifted.T @ shifted).cpu().double()

    def quality(self) -> dict[str, float | None]:
        """explained_variance = 1 - E|x - x^|^2 / (E|x|^2 - |E x|^2) and its companions.

        `pca_explained_variance` is of as many leading principal components of these same tokens as features fire on
        one (L0, rounded), which flatters PCA.
        """
        numbers = numbers_of(self._documents.total, _formulas)
        return numbers | {"pca_explained_variance": self._pca_explained_variance(max(1, round(numbers["l0"] or 0)))}

    def intervals(self) -> dict[str, list[float]]:
        """95% intervals of the same numbers over the documents."""
        return intervals_of(self._documents.rows, _formulas)

    @property
    def _offset(self) -> Tensor:
        """From the origin to the mean, float64 [width]."""
        return self._documents.total[len(_SUMS) :] / max(1, self.tokens)

    def _pca_explained_variance(self, rank: int) -> float:
        if self._origin is None:
            return 0.0
        covariance = self._scatter / self.tokens - torch.outer(self._offset, self._offset)
        variances = torch.linalg.eigvalsh(covariance).clamp_min(0)  # ascending
        total = float(variances.sum())
        return float(variances[max(0, self._width - rank) :].sum()) / total if total > 0 else 0.0


def _summands(states: Tensor, shifted: Tensor, reconstruction: Tensor, code: SparseCode) -> Tensor:
    """What every token adds to the sums: [T, sums]."""
    lengths, rebuilt_lengths = states.norm(dim=1), reconstruction.norm(dim=1)
    dots = (states * reconstruction).sum(1)
    none = torch.zeros_like(lengths)
    return torch.stack(
        [
            torch.ones_like(lengths),
            (states - reconstruction).square().sum(1),
            shifted.square().sum(1),
            dots / (lengths * rebuilt_lengths).clamp_min(1e-12),
            rebuilt_lengths / lengths.clamp_min(1e-12),
            rebuilt_lengths.square(),
            dots,
            none.index_add(0, code.tokens, (code.activations > 0).to(none.dtype)),
            none.index_add(0, code.tokens, code.activations.to(none.dtype)),
        ],
        dim=1,
    )


def _formulas(sums: Tensor) -> dict[str, Tensor]:
    """The numbers that follow from sums [..., sums + width]."""
    of = dict(zip(_SUMS, sums[..., : len(_SUMS)].unbind(-1), strict=True))
    tokens = of["tokens"].clamp_min(1)
    mse = of["error"] / tokens
    variance = of["distance"] / tokens - (sums[..., len(_SUMS) :] / tokens[..., None]).square().sum(-1)
    fvu = torch.where(variance > 0, mse / variance, (mse > 0).double())
    return {
        "explained_variance": 1 - fvu,
        "fvu": fvu,
        "mse": mse,
        "l0": of["firings"] / tokens,
        "l1": of["activation"] / tokens,
        "cosine": of["cosine"] / tokens,
        "l2_ratio": of["length_ratio"] / tokens,
        "relative_reconstruction_bias": of["rebuilt_norm"] / of["dot"],
    }
