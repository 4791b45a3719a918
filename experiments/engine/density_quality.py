"""How often features fire on held-out text: the dead, the dense, and how densities are distributed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.kernels import SparseCode

# The same edges for every experiment, so that histograms can be laid over each other: four bins a decade.
DENSITY_EDGES = np.geomspace(1e-6, 1.0, 25)


class DensitySums:
    """Counts, for each feature, the tokens and the windows in which it fires."""

    def __init__(self, n_features: int, device: torch.device) -> None:
        self.tokens = 0
        self.firings = torch.zeros(n_features, dtype=torch.int64, device=device)
        self.windows = torch.zeros_like(self.firings)

    def add(self, code: SparseCode, windows: NDArray[np.integer[Any]]) -> None:
        """Takes the code of some tokens and the window [T] of each; no window may come in two batches."""
        fires = code.firing()
        self.tokens += len(code)
        self.firings += code.firings
        if len(fires.features):
            own = torch.from_numpy(windows.astype(np.int64)).to(fires.features.device)[fires.tokens]
            pairs = torch.unique(own * code.n_features + fires.features)
            self.windows += torch.bincount(pairs % code.n_features, minlength=code.n_features)

    def quality(self) -> dict[str, Any]:
        """Shares of the features, and of the firings that are theirs; `density` is a histogram of the living.

        `consistent_activation` is the mean, over living features, of tokens fired on per window fired in.
        """
        firings, windows = self.firings.cpu().double(), self.windows.cpu().double()
        density, alive = firings / max(1, self.tokens), firings > 0
        per_window = firings[alive] / windows[alive]
        quality: dict[str, Any] = {"dead_share": float((~alive).double().mean()), "dead_tokens": self.tokens}
        for percent in (1, 10):
            above = density > percent / 100
            quality[f"above_{percent}_percent"] = float(above.double().mean())
            quality[f"above_{percent}_percent_firings"] = float(firings[above].sum() / firings.sum().clamp_min(1))
        return quality | {
            "consistent_activation": float(per_window.mean()) if len(per_window) else 0.0,
            "density": _histogram(density[alive]),
        }


def _histogram(densities: Tensor) -> dict[str, list[Any]]:
    """Features by density, between edges even on a logarithmic axis; rarer ones than the first edge are in its bin."""
    inside = densities.numpy().clip(DENSITY_EDGES[0], DENSITY_EDGES[-1])
    counts, _ = np.histogram(inside, DENSITY_EDGES)
    return {"edges": DENSITY_EDGES.tolist(), "counts": counts.tolist()}
