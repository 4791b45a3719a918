"""What somebody drew around on a map, as it stands in addresses: `within=pca.100.100.9000.100.9000.9000`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, IntegerField, Q
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
        """Which of `positions` [N, 2] lie inside [N]: a ray to the right crosses the outline an odd number of times."""
        x, y = positions[:, 0].astype(np.float64), positions[:, 1].astype(np.float64)
        inside = np.zeros(len(positions), bool)
        for (x1, y1), (x2, y2) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            if y1 != y2:
                inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * ((x2 - x1) / (y2 - y1)))
        return inside

    def indices(self, experiment_id: int) -> list[int]:
        """The indices of the features inside, rising. Raises `Conflict` when the map is not there."""
        found: list[int] = np.flatnonzero(self.holds(read_positions(experiment_id, self.method))).tolist()
        return found


def within(experiment_id: int, text: str) -> Q:
    """The condition on features that lie inside a selection. Raises `Refused` and `Conflict`."""
    return Q(index__in=_Numbers(Selection.parse(text).indices(experiment_id)))


class _Numbers(Expression):
    """Whole numbers as the rows of a subquery, in one parameter however many they are."""

    output_field = IntegerField()

    def __init__(self, numbers: list[int]) -> None:
        super().__init__(output_field=IntegerField())
        self._numbers = json.dumps(numbers)

    def get_source_expressions(self) -> list[Any]:
        return []

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any) -> tuple[str, list[str]]:
        return "(SELECT value FROM json_each(%s))", [self._numbers]

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any) -> tuple[str, list[str]]:
        return "(SELECT value::integer FROM json_array_elements_text(%s::json))", [self._numbers]
