"""The features that pass a filter, whole or page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Func, IntegerField, Prefetch, QuerySet, Subquery

from features.models import Feature, Label
from features.services.gallery.filters import GalleryFilter
from features.services.gallery.neighbourhoods import Neighbourhood, neighbourhood_of
from features.services.gallery.orderings import in_order, ordering_for
from latentlens.lib.paging import Page, page_of_parts


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
    page = page_of_parts(in_order(features, experiment_id, name), limit=limit, cursor=cursor)
    # What passes is asked once, for the keys: a word that thousands of features hold is dear to look up again.
    rows = _as_shown(Feature.objects.order_by(), neighbourhood)
    counts = count and not cursor
    if counts:  # with the rows, so that it is no query of its own
        rows = rows.annotate(total=Subquery(_number_of(features)))
    found = rows.in_bulk([row.pk for row in page.items])
    shown = Page([found[row.pk] for row in page.items if row.pk in found], page.next)
    total = next((row.total for row in found.values()), 0) if counts else None
    return GalleryPage(shown, name, neighbourhood, total)


def current_labels() -> Prefetch[str, QuerySet[Label], str]:
    """Prefetches the current label of each feature, with its tags, into the list `current_labels`."""
    labels = Label.objects.filter(is_current=True).order_by().prefetch_related("tags")
    return Prefetch("labels", queryset=labels, to_attr="current_labels")


def _number_of(features: QuerySet[Any]) -> QuerySet[Any]:
    """One number: how many there are. Not by `Count`, which would count them by group."""
    number = Func(template="COUNT(*)", output_field=IntegerField())
    counted: QuerySet[Any] = features.order_by().annotate(number=number).values("number")
    return counted


def _passing(experiment_id: int, wanted: GalleryFilter, neighbourhood: Neighbourhood | None) -> QuerySet[Any]:
    features = Feature.objects.filter(wanted.conditions(experiment_id))
    return features if neighbourhood is None else neighbourhood.annotate(features.filter(neighbourhood.condition))


def _as_shown(features: QuerySet[Any], neighbourhood: Neighbourhood | None) -> QuerySet[Any]:
    """With what cards, rows and files show of a feature; how close it is too, where it is close to something."""
    near = features if neighbourhood is None else neighbourhood.annotate(features)
    return near.defer("summary").prefetch_related(current_labels())
