"""How often features fire against how strongly: the features that pass a filter in the cells of a log-log grid.

131,072 points would hide each other and weigh megabytes; cells of counts show where they are, and each is an address.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.services.gallery.filters import GalleryFilter
from features.services.gallery.listing import features_of

COLUMNS, ROWS = 48, 24
HEAT_LEVELS = 7

Edges = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Rising edges, even on a logarithmic axis and short to write: the cells are cut at just these numbers."""

    edges: Edges

    @classmethod
    def over(cls, values: NDArray[np.float64], cells: int, largest: float = math.inf) -> Axis:
        """An axis that holds all values (above zero, up to `largest`) between its first and its last edge."""
        low = float(values.min()) * 0.999
        high = min(largest, max(float(values.max()) * 1.001, 2 * low))
        between = np.geomspace(low, high, cells + 1)
        return cls(np.array([float(f"{edge:.4g}") for edge in between]))

    def place(self, value: float) -> float:
        """Where a value lies, from 0 (first edge) to 1 (last edge)."""
        first, last = math.log(self.edges[0]), math.log(self.edges[-1])
        return (math.log(value) - first) / (last - first)

    def ticks(self) -> list[float]:
        """The powers of ten on the axis; where there are fewer than two, also 2 and 5 times those."""
        first, last = float(self.edges[0]), float(self.edges[-1])
        decades = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
        tens = [10.0**decade for decade in decades if first <= 10.0**decade <= last]
        if len(tens) >= 2:
            return tens
        steps = (step * 10.0**decade for decade in decades for step in (1, 2, 5))
        return [value for value in steps if first <= value <= last]


@dataclass(frozen=True)
class Cell:
    """`count` features with min_density <= density < max_density and activations alike; `level` is 1 to 7."""

    column: int
    row: int
    count: int
    level: int
    min_density: float
    max_density: float
    min_max_activation: float
    max_max_activation: float


@dataclass(frozen=True)
class Scatter:
    """`dead` features fire nowhere, so that no logarithm shows them."""

    density: Axis
    activation: Axis
    counts: NDArray[np.int64]  # [column, row]
    dead: int

    @property
    def live(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def cells(self) -> list[Cell]:
        """Those that hold a feature, by rising density."""
        most = math.log1p(int(self.counts.max()))
        x, y = self.density.edges.tolist(), self.activation.edges.tolist()
        return [
            Cell(column, row, count, _level(count, most), x[column], x[column + 1], y[row], y[row + 1])
            for column, counts in enumerate(self.counts.tolist())
            for row, count in enumerate(counts)
            if count
        ]


def scatter_of(experiment_id: int, wanted: GalleryFilter) -> Scatter | None:
    """The features that pass the filter; None where none of them fires. Raises as `features_of` does."""
    features = features_of(experiment_id, wanted).prefetch_related(None).order_by()
    rows = np.array(list(features.values_list("density", "max_activation")), float).reshape(-1, 2)
    live = rows[(rows > 0).all(axis=1)]
    if len(live) == 0:
        return None
    density, activation = Axis.over(live[:, 0], COLUMNS, largest=1.0), Axis.over(live[:, 1], ROWS)
    counts, _, _ = np.histogram2d(live[:, 0], live[:, 1], bins=(density.edges, activation.edges))
    return Scatter(density, activation, counts.astype(np.int64), len(rows) - len(live))


def _level(count: int, most: float) -> int:
    return max(1, math.ceil(HEAT_LEVELS * math.log1p(count) / most))
