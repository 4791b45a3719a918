"""The features that pass a filter, whole or page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from features.models import Feature, Label
from features.services.gallery.filters import GalleryFilter
from features.services.gallery.neighbourhoods import Neighbourhood, neighbourhood_of
from features.services.gallery.orderings import ORDERINGS, ordering_for, with_key
from latentlens.lib.paging import Ordering, Page, page_of


@dataclass(frozen=True)
class GalleryPage:
    """One page; `total` (of all pages) is counted on the first one alone, `ordering` is the name that held."""

    page: Page[Feature]
    ordering: str
    neighbourhood: Neighbourhood | None
    total: int | None


def features_of(experiment_id: int, wanted: GalleryFilter) -> QuerySet[Feature]:
    """The features of an experiment that pass the filter, each with `current_labels` (one or none) and its tags.

    Three queries whatever the number of features. The evidence of the feature page is not loaded. Raises `Refused`,
    or `Conflict` where the index that a neighbourhood needs is missing.
    """
    neighbourhood = neighbourhood_of(experiment_id, wanted)
    return _as_shown(_passing(experiment_id, wanted, neighbourhood), neighbourhood)


def gallery_page(
    experiment_id: int, wanted: GalleryFilter, ordering: str | None, *, limit: int, cursor: str | None, count: bool
) -> GalleryPage:
    """One page in an order (None: the usual one), with the total if it is the first. Raises as `features_of`."""
    neighbourhood = neighbourhood_of(experiment_id, wanted)
    name = ordering_for(wanted, neighbourhood, ordering)
    features = _passing(experiment_id, wanted, neighbourhood)
    page = page_of(_keys_of(with_key(features, name), ORDERINGS[name]), ORDERINGS[name], limit=limit, cursor=cursor)
    # What passes is asked once, for the keys: a word that thousands of features hold is dear to look up again.
    rows = _as_shown(Feature.objects.order_by(), neighbourhood).in_bulk([row.pk for row in page.items])
    shown = Page([rows[row.pk] for row in page.items if row.pk in rows], page.next)
    return GalleryPage(shown, name, neighbourhood, features.count() if count and not cursor else None)


def current_labels() -> Prefetch[str, QuerySet[Label], str]:
    """Prefetches the current label of each feature, with its tags, into the list `current_labels`."""
    labels = Label.objects.filter(is_current=True).order_by().prefetch_related("tags")
    return Prefetch("labels", queryset=labels, to_attr="current_labels")


def _keys_of(features: QuerySet[Any], ordering: Ordering) -> QuerySet[Any]:
    """What an order is made of alone: a database that has to sort would carry every card along."""
    is_column = any(ordering.field == column.name for column in Feature._meta.concrete_fields)
    return features.only("pk", *([ordering.field] if is_column else []))


def _passing(experiment_id: int, wanted: GalleryFilter, neighbourhood: Neighbourhood | None) -> QuerySet[Any]:
    features = Feature.objects.filter(wanted.conditions(experiment_id))
    return features if neighbourhood is None else neighbourhood.annotate(features.filter(neighbourhood.condition))


def _as_shown(features: QuerySet[Any], neighbourhood: Neighbourhood | None) -> QuerySet[Any]:
    """With what cards, rows and files show of a feature; how close it is too, where it is close to something."""
    near = features if neighbourhood is None else neighbourhood.annotate(features)
    return near.defer("summary").prefetch_related(current_labels())
