"""What a gallery can be ordered by: public names, each a column or an expression that is never null."""

from __future__ import annotations

from typing import Any, Literal, get_args

from django.db.models import F, FloatField, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce, Concat, Lower

from features.models import Feature, Label
from features.services.gallery.filters import GalleryFilter
from features.services.gallery.neighbourhoods import CLOSENESS, Neighbourhood
from latentlens.lib.paging import Ordering
from latentlens.lib.problems import refused_field

OrderingName = Literal[
    "-density",
    "density",
    "-max_activation",
    "max_activation",
    "-mean_activation",
    "mean_activation",
    "-token_share",
    "token_share",
    "-confidence",
    "confidence",
    "-score",
    "score",
    "-concept_f1",
    "concept_f1",
    "label",
    "-label",
    "index",
    "-index",
    "-closeness",
]
DEFAULT_ORDERING: OrderingName = "-density"
CLOSEST_FIRST: OrderingName = "-closeness"

# A digit before the text decides first in every collation, so that no text comes after what has none.
_OF_LABELS: dict[str, Any] = {
    "confidence": F("confidence"),
    "score": F("score"),
    "label": Concat(Value("1"), Lower("text"), output_field=TextField()),
}
_MAY_BE_MISSING = (*_OF_LABELS, "concept_f1")


def _ordering(name: str) -> Ordering:
    """What may be missing is ordered by a key of its own, which is never null."""
    column = name.removeprefix("-")
    field = f"{column}_key" if column in _MAY_BE_MISSING else CLOSENESS if name == CLOSEST_FIRST else column
    return Ordering(field, descending=name.startswith("-"))


ORDERINGS: dict[str, Ordering] = {name: _ordering(name) for name in get_args(OrderingName)}


def ordering_for(wanted: GalleryFilter, neighbourhood: Neighbourhood | None, name: str | None) -> str:
    """The name that holds where none, or this one, was asked for. Raises `Refused` for closeness to nothing."""
    if name is None:
        return CLOSEST_FIRST if neighbourhood else DEFAULT_ORDERING
    if name == CLOSEST_FIRST and neighbourhood is None:
        raise refused_field("ordering", "Closest first needs something to be close to: like, cofiring or analysis.")
    return name


def with_key(features: QuerySet[Feature], name: str) -> QuerySet[Any]:
    """The features with the key of an ordering; what is missing comes last, whichever way it goes."""
    column = name.removeprefix("-")
    if column not in _MAY_BE_MISSING:
        return features
    value: Any = F(column)
    if column in _OF_LABELS:
        labels = Label.objects.filter(feature=OuterRef("pk"), is_current=True).order_by()
        value = Subquery(labels.values(of_label=_OF_LABELS[column])[:1])
    return features.annotate(**{f"{column}_key": Coalesce(value, _last(column, is_descending=name.startswith("-")))})


def _last(column: str, *, is_descending: bool) -> Value:
    """A key beyond all others; numbers are 0 to 1."""
    if column == "label":
        return Value("0" if is_descending else "2", output_field=TextField())
    return Value(-1.0 if is_descending else 2.0, output_field=FloatField())
