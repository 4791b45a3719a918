"""What a gallery can be ordered by: public names, each a column of the feature or of its current label."""

from __future__ import annotations

from typing import Any, Literal, get_args

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower

from features.models import Feature
from features.services.gallery.filters import GalleryFilter
from features.services.gallery.neighbourhoods import CLOSENESS, Neighbourhood
from features.services.labels import current_labels_of
from latentlens.lib.paging import Ordering, Part
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

# Of the current label, as its indexes hold them.
_OF_LABELS: dict[str, Any] = {
    "confidence": F("labels__confidence"),
    "score": F("labels__score"),
    "label": Lower("labels__text"),
}


def _ordering(name: str) -> Ordering:
    column, descending = name.removeprefix("-"), name.startswith("-")
    if column in _OF_LABELS:
        return Ordering(f"{column}_key", descending, key="labelled_pk")
    return Ordering(CLOSENESS if name == CLOSEST_FIRST else column, descending)


ORDERINGS: dict[str, Ordering] = {name: _ordering(name) for name in get_args(OrderingName)}


def ordering_for(wanted: GalleryFilter, neighbourhood: Neighbourhood | None, name: str | None) -> str:
    """The name that holds where none, or this one, was asked for. Raises `Refused` for closeness to nothing."""
    if name is None:
        return CLOSEST_FIRST if neighbourhood else DEFAULT_ORDERING
    if name == CLOSEST_FIRST and neighbourhood is None:
        raise refused_field("ordering", "Closest first needs something to be close to: like, cofiring or analysis.")
    return name


def in_order(features: QuerySet[Any], experiment_id: int, name: str) -> list[Part[Any]]:
    """The features in an order, for `page_of_parts`: those that lack what is ordered by are a part of their own.

    Nothing but keys is loaded: a database that has to sort would carry every card along.
    """
    column, ordering = name.removeprefix("-"), ORDERINGS[name]
    if column in _OF_LABELS:
        having, lacking = _by_label(features, experiment_id, column)
    elif column == "concept_f1":
        having, lacking = features.filter(concept_f1__isnull=False), features.filter(concept_f1=None)
    else:
        return [(_keys(features, ordering), ordering)]
    last = Ordering("pk", ordering.descending, name=f"without {column}")
    return [(_keys(having, ordering), ordering), (_keys(lacking, last), last)]


def _by_label(features: QuerySet[Any], experiment_id: int, column: str) -> tuple[QuerySet[Any], QuerySet[Any]]:
    """Those whose current label has it, with the keys of its index, and the others."""
    present = {} if column == "label" else {f"{column}__isnull": False}
    lacking = ~Q(pk__in=current_labels_of(experiment_id).filter(**present).values("feature"))
    current = {"experiment": experiment_id, "is_current": True, **present}
    having = features.filter(**{f"labels__{name}": value for name, value in current.items()})
    keys = {ORDERINGS[column].field: _OF_LABELS[column], ORDERINGS[column].key: F("labels__feature_id")}
    return having.annotate(**keys), features.filter(lacking)


def _keys(features: QuerySet[Any], ordering: Ordering) -> QuerySet[Any]:
    is_column = any(ordering.field == column.name for column in Feature._meta.concrete_fields)
    return features.only("pk", *([ordering.field] if is_column else []))
