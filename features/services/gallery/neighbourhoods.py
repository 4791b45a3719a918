"""Features chosen by what they are close to: a feature's direction, a feature's firings, a text that was read.

A neighbourhood is looked up outside of the database and is short, so that it can be a condition and an order in it.
Apps above this one add their own kinds: the lens adds `analysis`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, FloatField, Q, QuerySet, Value, When

from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, IndexUnavailable
from features.models import Feature
from features.services.gallery.filters import CLOSE_TO, GalleryFilter
from latentlens.lib.problems import Conflict, refused_field

CLOSENESS = "closeness"
CLOSEST_AT_MOST = 200


@dataclass(frozen=True)
class Neighbourhood:
    """`closest` maps the index of a feature to how close it is, in what `measure` names; larger is closer."""

    title: str
    measure: str
    closest: dict[int, float]

    @property
    def condition(self) -> Q:
        return Q(index__in=list(self.closest))

    def annotate(self, features: QuerySet[Feature]) -> QuerySet[Any]:
        """The features, each with its closeness."""
        cases = [When(index=index, then=Value(close)) for index, close in self.closest.items()]
        return features.annotate(**{CLOSENESS: Case(*cases, default=Value(0.0), output_field=FloatField())})


LookUp = Callable[[int, Any], Neighbourhood]


def neighbourhood_of(experiment_id: int, wanted: GalleryFilter) -> Neighbourhood | None:
    """What the filter asks to be close to; None: nothing. Raises `Refused` or `Conflict`."""
    for name in CLOSE_TO:
        value = getattr(wanted, name)
        if value is not None:
            return _LOOK_UPS[name](experiment_id, value)
    return None


def register(name: str, look_up: LookUp) -> None:
    """Says how one of `CLOSE_TO` is looked up."""
    _LOOK_UPS[name] = look_up


def _by_direction(experiment_id: int, index: int) -> Neighbourhood:
    summary = Feature.objects.filter(experiment=experiment_id, index=index).values_list("summary", flat=True).first()
    if summary is None:
        raise refused_field("like", f"There is no feature {index} in the catalogue of this experiment.")
    nearest = {near["index"]: near["cosine"] for near in summary["nearest"][:CLOSEST_AT_MOST]}
    return Neighbourhood(f"Nearest to feature {index} by decoder direction", "cosine", nearest)


def _by_co_firing(experiment_id: int, index: int) -> Neighbourhood:
    if not Feature.objects.filter(experiment=experiment_id, index=index).exists():
        raise refused_field("cofiring", f"There is no feature {index} in the catalogue of this experiment.")
    try:
        found = ActivationIndex(experiment_folder(experiment_id)).co_firing(index, limit=CLOSEST_AT_MOST)
    except IndexUnavailable as problem:
        raise Conflict(str(problem)) from None
    closest = {other.index: other.jaccard for other in found.items}
    return Neighbourhood(f"Fire on the tokens of feature {index}", "Jaccard", closest)


_LOOK_UPS: dict[str, LookUp] = {"like": _by_direction, "cofiring": _by_co_firing}
