"""The labels of a feature, and the history of one, each in a constant number of queries."""

from __future__ import annotations

from django.db.models import QuerySet

from features.models import Label, LabelRevision
from latentlens.lib.problems import NotFound


def labels_of(feature_id: int) -> QuerySet[Label]:
    """All labels of a feature, newest first, in two queries."""
    labels = Label.objects.filter(feature=feature_id)
    return labels.select_related("user", "key").prefetch_related("tags")


def current_labels_of(experiment_id: int) -> QuerySet[Label]:
    """The current labels of an experiment's features, one of each, in no order."""
    return Label.objects.filter(experiment=experiment_id, is_current=True).order_by()


def living_labels(feature_id: int) -> QuerySet[Label]:
    """The labels of a feature that have not been withdrawn, newest first, in two queries."""
    return labels_of(feature_id).filter(withdrawn_at=None)


def withdrawn_labels(feature_id: int) -> QuerySet[Label]:
    """Those that were taken back and can be restored, newest first, in two queries."""
    return labels_of(feature_id).exclude(withdrawn_at=None)


def find_label(feature_id: int, label_id: int, *, withdrawn: bool = False) -> Label:
    """A label of a feature with its author and tags; a withdrawn one only if `withdrawn`. Raises `NotFound`."""
    labels = withdrawn_labels(feature_id) if withdrawn else living_labels(feature_id)
    try:
        return labels.get(pk=label_id)
    except (Label.DoesNotExist, OverflowError):
        raise NotFound(_gone(withdrawn)) from None


def history_of(feature_id: int, label_id: int) -> list[LabelRevision]:
    """Every change of a label, newest first, also of a withdrawn one. Raises `NotFound`."""
    revisions = LabelRevision.objects.filter(label=label_id, label__feature=feature_id)
    found = list(revisions.select_related("user").order_by("-version"))
    if not found:
        raise NotFound("There is no such label on this feature.")
    return found


def _gone(withdrawn: bool) -> str:
    if withdrawn:
        return "There is no such withdrawn label on this feature."
    return "There is no such label on this feature, or it was withdrawn."
