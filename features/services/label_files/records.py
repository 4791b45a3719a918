"""One row of a file of labels, cleaned by the rules of a label, and whether it is one that is already here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from features.models import Label
from features.services.label_files.columns import Row
from features.services.labels import Author, LabelDraft
from latentlens.lib.numbers import parse_integer, parse_number
from latentlens.lib.problems import refused_field
from latentlens.lib.text import clean_text

MAXIMUM_INDEX = 2**31 - 1
_REVIEWS = frozenset(Label.Review.values)


@dataclass(frozen=True)
class LabelRecord:
    feature: int
    draft: LabelDraft
    author: str | None
    method: str
    review: str
    score: float | None
    match_score: float | None
    is_current: bool
    created_at: datetime | None
    changed_at: datetime | None

    @classmethod
    def of(cls, cells: Row) -> LabelRecord:
        """Raises `Refused` with one sentence for the first cell that is unusable."""
        return cls(
            feature=parse_integer(cells["feature"], field="feature", minimum=0, maximum=MAXIMUM_INDEX),
            draft=LabelDraft.of(
                _text(cells, "text"), _text(cells, "note"), _tags(cells.get("tags")), cells.get("confidence")
            ),
            author=_short(cells, "author", 200) if "author" in cells else None,
            method=_short(cells, "method", 64),
            review=_review(_text(cells, "review")),
            score=_share(cells, "score"),
            match_score=_share(cells, "match_score"),
            is_current=bool(cells.get("is_current", True)),
            created_at=_time(cells, "created_at"),
            changed_at=_time(cells, "changed_at"),
        )

    def facts(self, importer: Author) -> dict[str, Any]:
        """The columns of a new label beside its content. Names are kept; only one's own is linked to the account."""
        facts: dict[str, Any] = {"review": self.review, "score": self.score, "match_score": self.match_score}
        if self.author is None:
            return facts
        is_own = not self.method and self.author == importer.who
        account = importer if is_own else Author()
        return facts | account.columns | {"who": self.author, "method": self.method}

    def verdict(self, label: Label | None) -> str:
        """new, same, changed, or conflicting: it was changed here too since the file was written."""
        if label is None:
            return "new"
        content = (label.text, label.note, tuple(label.tag_names), label.confidence)
        draft = self.draft
        if content == (draft.text, draft.note, draft.tags, draft.confidence):
            return "same"
        is_newer_here = self.changed_at is not None and label.changed_at > self.changed_at
        return "conflicting" if is_newer_here or label.withdrawn_at is not None else "changed"


class LabelsHere:
    """The labels that some features have already, found by what a row says about them."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._by_time = {(label.feature_id, label.created_at): label for label in labels}
        living = [label for label in labels if label.withdrawn_at is None]
        self._by_author = {(label.feature_id, label.text, label.who): label for label in living}
        self._by_text = {(label.feature_id, label.text): label for label in living}

    def same_as(self, record: LabelRecord, feature_id: int) -> Label | None:
        """The label that the row is about, if there is one."""
        if record.created_at is not None:
            return self._by_time.get((feature_id, record.created_at))
        if record.author is not None:
            return self._by_author.get((feature_id, record.draft.text, record.author))
        return self._by_text.get((feature_id, record.draft.text))


def _text(cells: Row, name: str) -> str:
    value = cells.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refused_field(name, f"{name} is not text.")
    return value


def _short(cells: Row, name: str, maximum: int) -> str:
    return clean_text(_text(cells, name), field=name, maximum=maximum)


def _tags(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise refused_field("tags", "tags is not a list of texts.")
    return value


def _review(text: str) -> str:
    if text not in _REVIEWS:
        raise refused_field("review", "review is empty, pending, approved or rejected.")
    return text


def _share(cells: Row, name: str) -> float | None:
    value = cells.get(name)
    return None if value in (None, "") else parse_number(value, field=name, minimum=-1.0, maximum=1.0)


def _time(cells: Row, name: str) -> datetime | None:
    text = _text(cells, name).strip()
    if not text:
        return None
    try:
        time = parse_datetime(text)
    except ValueError:
        time = None
    if time is None:
        raise refused_field(name, f"{name} is not a time such as 2026-01-31T12:00:00+00:00.")
    return time if time.tzinfo else time.replace(tzinfo=UTC)
