"""How well an SAE reconstructs: sums over all held-out tokens in float64, and the numbers that follow from them."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine.kernels import SparseCode


class ReconstructionSums:
    """Collects batches; every number is of all tokens seen, never a mean of batch means."""

    def __init__(self, width: int, n_features: int, device: torch.device) -> None:
        self.tokens = 0
        self.firings = torch.zeros(n_features, dtype=torch.int64, device=device)  # tokens on which each feature fires
        self._width = width
        self._squared_error = self._squared_norm = self._cosines = self._length_ratios = 0.0
        self._sum = torch.zeros(width, dtype=torch.float64)
        self._origin: Tensor | None = None  # the scatter is taken around the first batch's mean, to keep its digits
        self._scatter = torch.zeros(width, width, dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """The mean hidden state, float64 [width] on the CPU."""
        return self._sum / max(1, self.tokens)

    def add(self, states: Tensor, code: SparseCode, reconstruction: Tensor) -> None:
        """Takes hidden states and their reconstructions [T, width], float32, and the code that gave them."""
        if len(states) == 0:
            return
        lengths, rebuilt_lengths = states.norm(dim=1), reconstruction.norm(dim=1)
        dots = (states * reconstruction).sum(1)
        self.tokens += len(states)
        self._squared_error += _total((states - reconstruction).square().sum(1))
        self._squared_norm += _total(states.square().sum(1))
        self._cosines += _total(dots / (lengths * rebuilt_lengths).clamp_min(1e-12))
        self._length_ratios += _total(rebuilt_lengths / lengths.clamp_min(1e-12))
        self._sum += states.cpu().double().sum(0)
        self.firings += code.firings()
        self._add_scatter(states)

    def quality(self, k: int) -> dict[str, float]:
        """explained_variance = 1 - E|x - x^|^2 / (E|x|^2 - |E x|^2) and its companions.

        `pca_explained_variance` is of the k leading principal components of these same tokens, which flatters PCA.
        """
        tokens = max(1, self.tokens)
        mse = self._squared_error / tokens
        variance = self._squared_norm / tokens - float(self.mean.square().sum())
        fvu = mse / variance if variance > 0 else float(mse > 0)
        return {
            "explained_variance": 1 - fvu,
            "fvu": fvu,
            "mse": mse,
            "l0": float(self.firings.sum()) / tokens,
            "cosine": self._cosines / tokens,
            "l2_ratio": self._length_ratios / tokens,
            "dead_share": float((self.firings == 0).double().mean()),
            "dead_tokens": self.tokens,
            "pca_explained_variance": self._pca_explained_variance(k),
        }

    def _add_scatter(self, states: Tensor) -> None:
        if self._origin is None:
            self._origin = states.mean(0)
        shifted = states - self._origin
        self._scatter += (shifted.T @ shifted).cpu().double()

    def _pca_explained_variance(self, k: int) -> float:
        if self._origin is None:
            return 0.0
        offset = self.mean - self._origin.cpu().double()
        covariance = self._scatter / self.tokens - torch.outer(offset, offset)
        variances = torch.linalg.eigvalsh(covariance).clamp_min(0)  # ascending
        total = float(variances.sum())
        return float(variances[max(0, self._width - k) :].sum()) / total if total > 0 else 0.0


def _total(values: Tensor) -> float:
    return float(values.cpu().double().sum())
