"""Where a feature fires and how strongly: its stretch of the sorted activations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.activation_index.files import IndexFiles
from features.activation_index.text import Positions

# The file is sorted by feature and then by falling activation, and rows come in the order of the file.
_FIRINGS = "SELECT position, activation FROM read_parquet($activations) WHERE feature = $feature"
_STRONGEST = f"{_FIRINGS} LIMIT $limit"
_RANGE = """
    SELECT feature, position, activation FROM read_parquet($activations) WHERE feature BETWEEN $first AND $last
"""
_AT = """
    SELECT position, activation FROM read_parquet($activations)
    WHERE feature = $feature AND position IN (SELECT position FROM wanted)
"""


@dataclass(frozen=True)
class Firings:
    """Positions and activations of one feature, strongest first, of equal ones the earliest."""

    positions: Positions
    activations: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.positions)

    def activation_at(self, positions: Positions) -> NDArray[np.float32]:
        """The activation at each position: 0 where the feature is silent."""
        found = np.zeros(len(positions), np.float32)
        if len(self) == 0:
            return found
        rising, activations = self._by_position
        rows = np.minimum(np.searchsorted(rising, positions), len(rising) - 1)
        fires = rising[rows] == positions
        found[fires] = activations[rows[fires]]
        return found

    @cached_property
    def rising(self) -> Positions:
        """Its positions in the order of the text."""
        return self._by_position[0]

    @cached_property
    def _by_position(self) -> tuple[Positions, NDArray[np.float32]]:
        order = np.argsort(self.positions)
        return self.positions[order], self.activations[order]


def firings_of(files: IndexFiles, feature: int) -> Firings:
    """All firings of a feature. Raises IndexUnavailable."""
    return _firings(files.columns(_FIRINGS, feature=feature))


def strongest_firings(files: IndexFiles, feature: int, limit: int) -> Firings:
    """The first `limit` of them, without reading the others. Raises IndexUnavailable."""
    return _firings(files.columns(_STRONGEST, feature=feature, limit=limit))


def firings_at(files: IndexFiles, feature: int, positions: Positions) -> Firings:
    """Those on certain positions. Raises IndexUnavailable."""
    return _firings(files.columns(_AT, {"wanted": {"position": positions}}, feature=feature))


def firings_of_range(files: IndexFiles, first: int, last: int) -> dict[int, Firings]:
    """All firings of every feature from `first` to `last` that fires, in one query. Raises IndexUnavailable."""
    found = files.columns(_RANGE, first=first, last=last)
    features, starts = np.unique(found["feature"], return_index=True)
    bounds = [*starts.tolist(), len(found["feature"])]
    return {
        feature: Firings(found["position"][start:stop], found["activation"][start:stop])
        for feature, start, stop in zip(features.tolist(), bounds, bounds[1:], strict=False)
    }


def _firings(found: dict[str, NDArray[Any]]) -> Firings:
    return Firings(found["position"], found["activation"])
