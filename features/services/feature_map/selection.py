"""What somebody drew around on a map, as it stands in addresses: `within=pca.100.100.9000.100.9000.9000`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BinaryField, BooleanField, Func, Q, Value
from numpy.typing import NDArray

from features.models import FeatureMap
from features.services.feature_map.positions import COORDINATE_MAXIMUM, Positions, read_positions
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Refused, refused_field

CORNERS_MAXIMUM = 200
_BAD = "A selection on the map is a method and the whole numbers x and y of 3 to 200 corners, all joined by dots."


@dataclass(frozen=True)
class Selection:
    """A polygon on the map of a method; `corners` [C, 2] in map coordinates. Inside is by the even-odd rule."""

    method: str
    corners: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Raises `Refused` with the field `within`."""
        method, *numbers = text.split(".")
        count = len(numbers)
        if method not in FeatureMap.Method.values or count % 2 or not 6 <= count <= 2 * CORNERS_MAXIMUM:
            raise refused_field("within", _BAD)
        try:
            values = [
                parse_integer(number, field="within", minimum=0, maximum=COORDINATE_MAXIMUM) for number in numbers
            ]
        except Refused:
            raise refused_field("within", _BAD) from None
        return cls(method, tuple(zip(values[::2], values[1::2], strict=True)))

    def holds(self, positions: Positions) -> NDArray[np.bool_]:
        """Which of `positions` [N, 2] lie inside [N]: a ray to the right crosses the outline an odd number of times.

        The points are put in the order of y once, so that an edge looks only at those beside it.
        """
        order = np.argsort(positions[:, 1], kind="stable")
        x, y = positions[order, 0].astype(np.float64), positions[order, 1].astype(np.float64)
        crossed = np.zeros(len(order), bool)
        for (x1, y1), (x2, y2) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            if y1 != y2:
                first, stop = np.searchsorted(y, (min(y1, y2), max(y1, y2)))
                beside = slice(first, stop)
                crossed[beside] ^= x[beside] < x1 + (y[beside] - y1) * ((x2 - x1) / (y2 - y1))
        inside = np.empty(len(order), bool)
        inside[order] = crossed
        return inside


def within(experiment_id: int, text: str) -> Q:
    """The condition on features that lie inside a selection. Raises `Refused` and `Conflict`."""
    selection = Selection.parse(text)
    held = selection.holds(read_positions(experiment_id, selection.method))
    return Q(_Held(Value(held.tobytes(), output_field=BinaryField()), "index"))


class _Held(Func):
    """Whether the byte at a column's number is 1: one parameter however many features, and no list to be sorted."""

    arity = 2
    output_field = BooleanField()
    template = "(substr(%(expressions)s + 1, 1) = x'01')"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="(substr(%(expressions)s + 1, 1) = '\\x01'::bytea)", **extra)
