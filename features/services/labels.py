"""Labels: what people say a feature is. Added, edited and withdrawn here, for the page, the API and the admin alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from features.models import Feature, Label, Tag
from latentlens.lib.numbers import parse_number
from latentlens.lib.problems import NotFound, refused_field
from latentlens.lib.text import clean_name, clean_text

TEXT_MAXIMUM, NOTE_MAXIMUM = 200, 5_000
TAG_MAXIMUM, TAGS_MAXIMUM = 50, 20


@dataclass(frozen=True)
class LabelDraft:
    """The content of a label, already cleaned."""

    text: str
    note: str = ""
    tags: tuple[str, ...] = ()
    confidence: float | None = None

    @classmethod
    def of(cls, text: str, note: str = "", tags: Iterable[str] = (), confidence: Any = None) -> LabelDraft:
        """The draft as it may be stored. Raises `Refused` with one sentence for the first field that is unusable.

        `confidence` is a number from 0 to 1, as a number or as text; None or empty text: nothing is claimed.
        """
        return cls(
            text=clean_name(text, field="text", maximum=TEXT_MAXIMUM),
            note=clean_text(note, field="note", maximum=NOTE_MAXIMUM),
            tags=clean_tags(tags),
            confidence=None if confidence in (None, "") else parse_confidence(confidence),
        )


def parse_confidence(confidence: Any) -> float:
    return parse_number(confidence, field="confidence", minimum=0.0, maximum=1.0)


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Lower case, single spaces, no doubles, in alphabetical order. Raises `Refused`."""
    names = sorted({clean_name(tag, field="tags", maximum=TAG_MAXIMUM).lower() for tag in tags})
    if any("," in name for name in names):
        raise refused_field("tags", "A tag cannot hold a comma: write two tags instead.")
    if len(names) > TAGS_MAXIMUM:
        raise refused_field("tags", f"A label takes {TAGS_MAXIMUM} tags at the most, not {len(names)}.")
    return tuple(names)


def find_label(feature_id: int, label_id: int) -> Label:
    """A label that has not been withdrawn, with its author and tags. Raises `NotFound`."""
    try:
        return living_labels(feature_id).get(pk=label_id)
    except Label.DoesNotExist:
        raise NotFound("There is no such label on this feature, or it was withdrawn.") from None


def living_labels(feature_id: int) -> QuerySet[Label]:
    """The labels of a feature that have not been withdrawn, newest first, in two queries."""
    labels = Label.objects.filter(feature=feature_id, withdrawn_at=None)
    return labels.select_related("author").prefetch_related("tags")


@transaction.atomic
def add_label(feature_id: int, draft: LabelDraft, author: User | AnonymousUser | None) -> Label:
    """Adds a label, which becomes the current one. Raises `NotFound` when the feature is gone."""
    _lock(feature_id)
    label = Label.objects.create(
        feature_id=feature_id,
        text=draft.text,
        note=draft.note,
        confidence=draft.confidence,
        author=author if isinstance(author, User) else None,
        is_current=False,
    )
    label.tags.set(_tags(draft.tags))
    choose_current(feature_id)
    return find_label(feature_id, label.pk)


@transaction.atomic
def edit_label(feature_id: int, label_id: int, draft: LabelDraft) -> Label:
    """Gives a label another content; whether it is the current one does not change. Raises `NotFound`."""
    _lock(feature_id)
    label = find_label(feature_id, label_id)
    label.text, label.note, label.confidence = draft.text, draft.note, draft.confidence
    label.save(update_fields=["text", "note", "confidence", "changed_at"])
    label.tags.set(_tags(draft.tags))
    return find_label(feature_id, label_id)


@transaction.atomic
def withdraw_label(feature_id: int, label_id: int) -> None:
    """Takes a label back; the newest of the others becomes the current one. The row stays. Raises `NotFound`."""
    _lock(feature_id)
    label = find_label(feature_id, label_id)
    label.withdrawn_at = timezone.now()
    label.save(update_fields=["withdrawn_at", "changed_at"])
    choose_current(feature_id)


def choose_current(feature_id: int) -> None:
    """The rule: the newest label that is not withdrawn is the current one."""
    labels = Label.objects.filter(feature=feature_id)
    newest = labels.filter(withdrawn_at=None).order_by("-created_at", "-pk").first()
    if newest is not None and newest.is_current:
        return
    labels.filter(is_current=True).update(is_current=False)
    if newest is not None:
        labels.filter(pk=newest.pk).update(is_current=True)


def _lock(feature_id: int) -> None:
    """Two people labelling one feature take turns, so that there is always exactly one current label."""
    if Feature.objects.select_for_update().filter(pk=feature_id).values("pk").first() is None:
        raise NotFound("There is no such feature.")


def _tags(names: tuple[str, ...]) -> list[Tag]:
    Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
    return list(Tag.objects.filter(name__in=names))
