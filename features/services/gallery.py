"""The gallery: the features of one experiment, filtered and ordered by what a person or program may ask for.

Public names are mapped to ORM expressions here and nowhere else, so no lookup can be smuggled in through a parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from features.models import Feature, Label
from features.readable_text import SEPARATOR, search_form
from features.services.feature_map import Selection, within
from latentlens.lib.paging import Ordering
from latentlens.lib.problems import refused_field
from latentlens.lib.text import clean_text

ORDERINGS = {
    "-density": Ordering("density", descending=True),
    "density": Ordering("density"),
    "-max_activation": Ordering("max_activation", descending=True),
    "max_activation": Ordering("max_activation"),
    "index": Ordering("index"),
    "-index": Ordering("index", descending=True),
}
DEFAULT_ORDERING = "-density"

LABELLED = Exists(Label.objects.filter(feature=OuterRef("pk"), is_current=True))
_FILTERS: dict[str, Callable[[Any], Q]] = {
    "min_density": lambda share: Q(density__gte=share),
    "max_density": lambda share: Q(density__lte=share),
    "token": lambda text: Q(token_search__contains=f"{SEPARATOR}{search_form(text)}{SEPARATOR}"),
    "labelled": lambda wanted: Q(LABELLED) if wanted else ~Q(LABELLED),
    "concept": lambda name: Q(concept=name),
}


@dataclass(frozen=True)
class GalleryFilter:
    """Which features are wanted; None is "whatever". Raises `Refused` when one of them is unusable.

    `token` is one of the feature's top tokens, however it is written (blanks around it and case do not count);
    `within` a selection on the map.
    """

    min_density: float | None = None
    max_density: float | None = None
    token: str | None = None
    labelled: bool | None = None
    concept: str | None = None
    within: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None:
            clean_text(self.token, field="token", maximum=200)
        if self.concept is not None:
            clean_text(self.concept, field="concept", maximum=64)
        if self.within is not None:
            Selection.parse(self.within)
        if self.min_density is not None and self.max_density is not None and self.min_density > self.max_density:
            raise refused_field("max_density", "The upper density is below the lower one: swap them.")


def features_of(experiment_id: int, wanted: GalleryFilter) -> QuerySet[Feature]:
    """The features of an experiment that pass the filter, each with `current_labels` (one or none) and its tags.

    Three queries whatever the number of features. The evidence of the feature page is not loaded. Raises `Conflict`
    when a selection is on a map that has not been made.
    """
    conditions = Q(experiment=experiment_id)
    for field in fields(wanted):
        value = getattr(wanted, field.name)
        if value is not None and field.name in _FILTERS:
            conditions &= _FILTERS[field.name](value)
    if wanted.within is not None:
        conditions &= within(experiment_id, wanted.within)
    return Feature.objects.filter(conditions).defer("summary").prefetch_related(current_labels())


def current_labels() -> Prefetch[str, QuerySet[Label], str]:
    """Prefetches the current label of each feature, with its tags, into the list `current_labels`."""
    labels = Label.objects.filter(is_current=True).prefetch_related("tags")
    return Prefetch("labels", queryset=labels, to_attr="current_labels")
