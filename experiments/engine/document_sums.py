"""Sums for every document, from which a number and its bootstrap interval follow by the same formula.

Tokens of one document are alike, so the documents are what is drawn again: an interval over tokens would be far too
narrow. What is kept is one row of sums per document; drawing documents anew is a weighted sum of these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Beyond so many documents, several share a row: the interval is then one over groups of documents, and memory bounded.
GROUPS = 1_024
RESAMPLES = 1_000
# The share of the resamples inside an interval lies between these two percentiles.
PERCENTILES = (0.025, 0.975)

# From sums [..., numbers] to named numbers [...].
Formulas: TypeAlias = Callable[[Tensor], Mapping[str, Tensor]]


class DocumentSums:
    """Sums of `numbers` values of every token, in float64 on the CPU, by document."""

    def __init__(self, numbers: int) -> None:
        self._groups: dict[int, int] = {}
        self._sums = torch.zeros(GROUPS, numbers, dtype=torch.float64)

    def add(self, documents: NDArray[np.integer[Any]], values: Tensor) -> None:
        """Adds the values [T, numbers] of tokens from `documents` [T]."""
        known, which = np.unique(documents, return_inverse=True)
        groups = [self._groups.setdefault(int(document), len(self._groups) % GROUPS) for document in known]
        rows = torch.tensor(groups, dtype=torch.int64)[torch.from_numpy(which.reshape(-1))]
        self._sums.index_add_(0, rows, values.cpu().double())

    @property
    def rows(self) -> Tensor:
        """The sums of every document or group of them: [documents, numbers]."""
        return self._sums[: len(self._groups)]

    @property
    def total(self) -> Tensor:
        """The sums over all documents: [numbers]."""
        return self.rows.sum(0)


def numbers_of(total: Tensor, formulas: Formulas) -> dict[str, float | None]:
    """The numbers that follow from the `total` [numbers]; None for one that is not defined."""
    return {name: _finite(float(value)) for name, value in formulas(total).items()}


def intervals_of(rows: Tensor, formulas: Formulas, seed: int = 0) -> dict[str, list[float]]:
    """95% bootstrap intervals [low, high] of the numbers, over the documents whose sums are `rows` [documents, ...].

    Percentiles of 1,000 resamples (Efron 1979). Fewer than two documents have none, nor has a number that is not
    defined in every resample.
    """
    if len(rows) < 2:
        return {}
    drawn = np.random.default_rng(seed).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    resampled = formulas(torch.from_numpy(drawn).double() @ rows)
    levels = torch.tensor(PERCENTILES, dtype=torch.float64)
    return {
        name: torch.quantile(values, levels).tolist()
        for name, values in resampled.items()
        if bool(values.isfinite().all())
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
