"""Many new labels at once, with the same history and the same rule for the current one as one alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from features.models import Feature, Label, LabelRevision, Tag
from features.services.labels.authors import Author
from features.services.labels.drafts import LabelDraft
from features.services.search import store_labels

_TAGS_OF_LABELS = Label.tags.through._meta.db_table
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class NewLabel:
    """A label to add to a feature; `facts` are further columns (review, score, match_score, who, method...)."""

    feature_id: int
    draft: LabelDraft
    is_wanted_current: bool = True
    created_at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@transaction.atomic
def add_labels(labels: Sequence[NewLabel], author: Author) -> int:
    """Adds them in a constant number of queries for each thousand, and returns how many. Features that are gone: none.

    Where a feature has no current label, or a machine's and the new one is a person's, the new one becomes current if
    that is wanted; the last of several.
    """
    wanted = {label.feature_id for label in labels}
    known = dict(Feature.objects.select_for_update().filter(pk__in=wanted).values_list("pk", "experiment"))
    fresh = [label for label in labels if label.feature_id in known]
    rows = Label.objects.bulk_create(
        [_row(label, known[label.feature_id], author) for label in fresh], batch_size=_ROWS_AT_ONCE
    )
    _set_tags(rows, fresh)
    LabelRevision.objects.bulk_create(
        [_revision(row, label, author) for row, label in zip(rows, fresh, strict=True)], batch_size=_ROWS_AT_ONCE
    )
    store_labels(known)
    _make_current([row for row, label in zip(rows, fresh, strict=True) if label.is_wanted_current])
    return len(rows)


def _row(label: NewLabel, experiment_id: int, author: Author) -> Label:
    draft = label.draft
    return Label(
        feature_id=label.feature_id,
        experiment_id=experiment_id,
        text=draft.text,
        note=draft.note,
        confidence=draft.confidence,
        is_current=False,
        created_at=label.created_at or timezone.now(),
        **author.columns | label.facts,
    )


def _revision(row: Label, label: NewLabel, author: Author) -> LabelRevision:
    return LabelRevision(
        label=row,
        version=1,
        action=LabelRevision.Action.ADDED,
        text=row.text,
        note=row.note,
        tags=list(label.draft.tags),
        confidence=row.confidence,
        review=row.review,
        **author.columns,
    )


def _set_tags(rows: Sequence[Label], labels: Sequence[NewLabel]) -> None:
    names = sorted({name for label in labels for name in label.draft.tags})
    Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
    tags = dict(Tag.objects.filter(name__in=names).values_list("name", "pk"))
    pairs = [(row.pk, tags[name]) for row, label in zip(rows, labels, strict=True) for name in label.draft.tags]
    if pairs:  # plain pairs of numbers, which took a tenth of an import as objects
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {_TAGS_OF_LABELS} (label_id, tag_id) VALUES (%s, %s)", pairs)  # noqa: S608


def _make_current(rows: Iterable[Label]) -> None:
    """Of the new rows of a feature the last that a person wrote, else the last; a person's current label stays."""
    chosen: dict[int, Label] = {}
    for row in sorted(rows, key=lambda row: (not row.is_by_machine, row.created_at)):
        if row.review != Label.Review.REJECTED:
            chosen[row.feature_id] = row
    current = Label.objects.filter(feature__in=chosen, is_current=True).only("feature", "method")
    for label in current:
        if not label.is_by_machine:
            del chosen[label.feature_id]
    Label.objects.filter(feature__in=chosen, is_current=True).update(is_current=False)
    Label.objects.filter(pk__in=[row.pk for row in chosen.values()]).update(is_current=True)
