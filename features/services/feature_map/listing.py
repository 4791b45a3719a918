"""The features of a map as a list: the same points for people who do not look at them or have no pointer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from features.models import Feature, FeatureMap
from features.services.feature_map.positions import COORDINATE_MAXIMUM, read_positions
from features.services.feature_map.selection import within
from features.services.gallery import current_labels
from latentlens.lib.numbers import parse_integer
from latentlens.lib.paging import Ordering, page_of
from latentlens.lib.problems import Refused, refused_field

ORDERINGS = {
    "-density": "Most frequent",
    "density": "Rarest",
    "near": "Nearest to a feature",
}
_BY_DENSITY = {"-density": Ordering("density", descending=True), "density": Ordering("density")}
INDEX_MAXIMUM = 2**31 - 1


@dataclass(frozen=True)
class MapQuery:
    """Which points are listed and in which order; `near` is the index that distances are taken from."""

    ordering: str = "-density"
    near: int | None = None
    within: str | None = None

    @classmethod
    def parse(cls, ordering: str, near: str, selection: str) -> MapQuery:
        """Raises `Refused`."""
        index = parse_integer(near, field="near", minimum=0, maximum=INDEX_MAXIMUM) if near else None
        chosen = ordering or ("-density" if index is None else "near")
        if chosen not in ORDERINGS:
            raise refused_field("ordering", f"The ordering must be one of {', '.join(ORDERINGS)}.")
        if chosen == "near" and index is None:
            raise refused_field("near", "Type the index of the feature that distances are taken from.")
        return cls(chosen, index, selection or None)


@dataclass(frozen=True)
class MapPoint:
    """A feature (with `current_labels`) and where it lies; `distance` is a share of the width of the map."""

    feature: Feature
    x: int
    y: int
    distance: float | None = None

    @classmethod
    def of(cls, feature: Feature, positions: NDArray[Any], distance: float | None = None) -> MapPoint:
        x, y = positions[feature.index].tolist()
        return cls(feature, x, y, distance)


@dataclass(frozen=True)
class PointPage:
    """Some points, the cursor of the next page, and on the first page how many there are."""

    items: list[MapPoint]
    next: str | None = None
    total: int | None = None


def list_points(row: FeatureMap, query: MapQuery, *, limit: int, cursor: str | None = None) -> PointPage:
    """One page of the points in at most five queries. Raises `Refused` and `Conflict`."""
    condition = Q(experiment=row.experiment_id)
    if query.within is not None:
        condition &= within(row.experiment_id, query.within)
    listed = _nearest if query.ordering == "near" else _by_density
    return listed(row, condition, query, limit, cursor)


def _by_density(row: FeatureMap, condition: Q, query: MapQuery, limit: int, cursor: str | None) -> PointPage:
    positions = read_positions(row.experiment_id, row.method)
    features = Feature.objects.filter(condition, index__lt=len(positions)).defer("summary")
    page = page_of(features.prefetch_related(current_labels()), _BY_DENSITY[query.ordering], limit=limit, cursor=cursor)
    items = [MapPoint.of(feature, positions) for feature in page.items]
    return PointPage(items, page.next, None if cursor else features.count())


def _nearest(row: FeatureMap, condition: Q, query: MapQuery, limit: int, cursor: str | None) -> PointPage:
    positions = read_positions(row.experiment_id, row.method).astype(np.int64)
    if query.near is None or query.near >= len(positions):
        raise refused_field("near", "There is no feature with this index on the map.")
    rows = Feature.objects.filter(condition, index__lt=len(positions)).order_by("index").values_list("index", flat=True)
    indices = np.fromiter(rows, np.int64)
    squares = ((positions[indices] - positions[query.near]) ** 2).sum(axis=1)
    order = np.lexsort((indices, squares))
    start = 0 if cursor is None else _after(squares[order], indices[order], cursor)
    shown = order[start : start + limit]
    features = Feature.objects.filter(experiment=row.experiment_id, index__in=indices[shown].tolist()).defer("summary")
    found: dict[int, Any] = {feature.index: feature for feature in features.prefetch_related(current_labels())}
    items = [
        MapPoint.of(found[index], positions, float(squares[place]) ** 0.5 / COORDINATE_MAXIMUM)
        for place, index in zip(shown.tolist(), indices[shown].tolist(), strict=True)
        if index in found
    ]
    is_last = start + limit >= len(order)
    following = None if is_last else f"{squares[shown[-1]]}-{indices[shown[-1]]}"
    return PointPage(items, following, None if cursor else len(order))


def _after(squares: Any, indices: Any, cursor: str) -> int:
    """How many points come up to the one that the cursor names, by distance and then by index."""
    try:
        square, index = (parse_integer(part, field="cursor", minimum=0, maximum=2**40) for part in cursor.split("-", 1))
    except (Refused, ValueError):
        raise refused_field("cursor", "This cursor does not belong to this list: start again without it.") from None
    return int(np.count_nonzero((squares < square) | ((squares == square) & (indices <= index))))
