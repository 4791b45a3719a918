"""Every change of a label: one transaction, one revision, and one rule for which label is the current one."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from features.models import Feature, Label, LabelRevision, Tag
from features.services.labels.authors import Author
from features.services.labels.drafts import LabelDraft
from features.services.labels.reading import find_label
from features.services.search import store_labels
from latentlens.lib.problems import Conflict, NotFound

Action, Review = LabelRevision.Action, Label.Review


class StaleLabel(Conflict):
    """The label changed after its writer read it; `label` is what it says now."""

    def __init__(self, label: Label) -> None:
        who = label.revisions.order_by("-version").values_list("who", flat=True).first() or "Somebody else"
        super().__init__(
            f"{who} changed this label to “{label.text}” while you wrote: compare, then save again to replace it."
        )
        self.label = label


def add_label(
    feature_id: int,
    draft: LabelDraft,
    author: Author,
    *,
    review: str = Review.NONE,
    match_score: float | None = None,
    score: float | None = None,
) -> Label:
    """Adds a label. A person's becomes the current one; a machine's only where no person has said anything.

    Raises `NotFound` when the feature is gone.
    """
    label = Label(
        feature_id=feature_id,
        text=draft.text,
        note=draft.note,
        confidence=draft.confidence,
        review=review,
        match_score=match_score,
        score=score,
        **author.columns,
    )
    # On SQLite everybody else who writes waits for this transaction, so it is as short as can be.
    with transaction.atomic():
        label.experiment_id = _lock(feature_id)
        label.is_current = _takes_over(feature_id, author)
        label.save(force_insert=True)
        if draft.tags:
            label.tags.set(tags_named(draft.tags))
        _record(label, Action.ADDED, author, draft.tags)
    return label


@transaction.atomic
def edit_label(
    feature_id: int, label_id: int, draft: LabelDraft, author: Author, *, version: int | None = None
) -> Label:
    """Gives a label another content; whether it is the current one does not change.

    Raises `StaleLabel` when `version` is given and no longer the newest, and `NotFound`.
    """
    label = _locked_label(feature_id, label_id, version)
    label.text, label.note, label.confidence = draft.text, draft.note, draft.confidence
    label.score = None if _claims_something_else(label, draft) else label.score
    label.tags.set(tags_named(draft.tags))
    _save(label, Action.EDITED, author, draft.tags)
    return find_label(feature_id, label_id)


@transaction.atomic
def withdraw_label(feature_id: int, label_id: int, author: Author, *, version: int | None = None) -> None:
    """Takes a label back; the next by the rule becomes the current one. The row stays. Raises as `edit_label`."""
    label = _locked_label(feature_id, label_id, version)
    label.withdrawn_at, label.is_current = timezone.now(), False
    _save(label, Action.WITHDRAWN, author)
    choose_next(feature_id)


@transaction.atomic
def restore_label(feature_id: int, label_id: int, author: Author) -> Label:
    """Brings a withdrawn label back; it becomes current where no other label is. Raises `NotFound`."""
    _lock(feature_id)
    label = find_label(feature_id, label_id, withdrawn=True)
    label.withdrawn_at = None
    _save(label, Action.RESTORED, author)
    choose_next(feature_id)
    return find_label(feature_id, label_id)


@transaction.atomic
def choose_label(feature_id: int, label_id: int, author: Author) -> Label:
    """Makes a label the current one. Raises `NotFound`."""
    label = _locked_label(feature_id, label_id, None)
    if not label.is_current:
        _save(label, Action.CHOSEN, author)
        _make_current(label)
    return find_label(feature_id, label_id)


@transaction.atomic
def review_label(feature_id: int, label_id: int, verdict: str, author: Author) -> Label:
    """Approves or rejects a label, which stays readable; a rejected one is current no more. Raises `NotFound`."""
    label = _locked_label(feature_id, label_id, None)
    label.review = Review(verdict)
    label.is_current = label.is_current and label.review != Review.REJECTED
    _save(label, Action.REVIEWED, author)
    choose_next(feature_id)
    return find_label(feature_id, label_id)


def choose_next(feature_id: int) -> None:
    """Where no label is current: the newest by a person, else the newest by a machine; never a rejected one."""
    labels = _of(feature_id)
    if labels.filter(is_current=True).exists():
        return
    candidates = list(labels.filter(withdrawn_at=None).exclude(review=Review.REJECTED).order_by("-created_at", "-pk"))
    if candidates:
        _make_current(min(candidates, key=lambda label: label.is_by_machine))


def tags_named(names: tuple[str, ...]) -> list[Tag]:
    """The tags with these names; those that do not exist yet are made."""
    if not names:
        return []
    Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
    return list(Tag.objects.filter(name__in=names))


def _locked_label(feature_id: int, label_id: int, version: int | None) -> Label:
    _lock(feature_id)
    label = find_label(feature_id, label_id)
    if version is not None and version != label.version:
        raise StaleLabel(label)
    return label


def _lock(feature_id: int) -> int:
    """The feature's experiment. Two people labelling one feature take turns, so that one label at most is current."""
    locked = Feature.objects.select_for_update().filter(pk=feature_id)
    experiment_id = locked.order_by().values_list("experiment", flat=True).first()
    if experiment_id is None:
        raise NotFound("There is no such feature.")
    return experiment_id


def _of(feature_id: int) -> QuerySet[Label]:
    return Label.objects.filter(feature=feature_id)


def _takes_over(feature_id: int, author: Author) -> bool:
    """Whether a new label becomes the current one; the one that is it so far then no longer is."""
    current = _of(feature_id).filter(is_current=True)
    if author.method and current.filter(method="").exists():
        return False
    current.update(is_current=False)
    return True


def _make_current(label: Label) -> None:
    _of(label.feature_id).filter(is_current=True).update(is_current=False)
    _of(label.feature_id).filter(pk=label.pk).update(is_current=True)


def _claims_something_else(label: Label, draft: LabelDraft) -> bool:
    """A detection test holds for the text that was tested."""
    newest = label.revisions.order_by("-version").values_list("text", flat=True).first()
    return newest is not None and newest != draft.text


def _save(label: Label, action: str, author: Author, tags: tuple[str, ...] | None = None) -> None:
    label.version += 1
    label.save()
    _record(label, action, author, tags)


def _record(label: Label, action: str, author: Author, tags: tuple[str, ...] | None = None) -> None:
    """The revision, and what search finds the feature by."""
    LabelRevision.objects.create(
        label=label, action=action, **content_of(label, tags), **author.columns, version=label.version
    )
    store_labels([label.feature_id])


def content_of(label: Label, tags: tuple[str, ...] | None = None) -> dict[str, Any]:
    """What a revision keeps of a label. `tags`: their names where they have just been set."""
    return {
        "text": label.text,
        "note": label.note,
        "tags": list(tags) if tags is not None else label.tag_names,
        "confidence": label.confidence,
        "review": label.review,
        "is_withdrawn": label.withdrawn_at is not None,
    }
