"""Many new labels at once, with the same history and the same rule for the current one as one alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from features.models import Feature, FeatureWords, Label, LabelRevision, Tag
from features.services.labels.authors import Author
from features.services.labels.drafts import LabelDraft
from features.services.search import store_labels
from latentlens.lib.settled_tables import settle

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
    _record(rows, fresh, author)
    store_labels(known)
    _make_current([row for row, label in zip(rows, fresh, strict=True) if label.is_wanted_current])
    return len(rows)


def settle_labels() -> None:
    """To be called once when the last of many labels is written, outside a transaction."""
    settle(Label, LabelRevision, FeatureWords)


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


def _record(rows: Sequence[Label], labels: Sequence[NewLabel], author: Author) -> None:
    """The first revision of each. Nobody asks for these rows again, and as objects they took a fifth of an import."""
    columns = {field.attname: field for field in LabelRevision._meta.concrete_fields}
    alike = {"version": 1, "action": LabelRevision.Action.ADDED, "is_withdrawn": False, "undone": False}
    alike |= {"at": timezone.now()} | author.columns
    stored = [columns[name].get_db_prep_save(value, connection) for name, value in alike.items()]
    tags = columns["tags"]
    values = [
        (
            row.pk,
            row.text,
            row.note,
            tags.get_db_prep_save(list(label.draft.tags), connection),
            row.confidence,
            row.review,
            *stored,
        )
        for row, label in zip(rows, labels, strict=True)
    ]
    _insert(LabelRevision, ("label_id", "text", "note", "tags", "confidence", "review", *alike), values)


def _insert(model: type[Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Plain rows, as the database stores them."""
    if not rows:
        return
    places = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({places})",  # noqa: S608 - our own names
            rows,
        )


def _set_tags(rows: Sequence[Label], labels: Sequence[NewLabel]) -> None:
    names = sorted({name for label in labels for name in label.draft.tags})
    Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
    tags = dict(Tag.objects.filter(name__in=names).values_list("name", "pk"))
    pairs = [(row.pk, tags[name]) for row, label in zip(rows, labels, strict=True) for name in label.draft.tags]
    _insert(Label.tags.through, ("label_id", "tag_id"), pairs)  # as objects they took a tenth of an import


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
