"""What leaves: the labels, or the features with their current labels, of the features that pass a gallery filter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from features.models import Feature, Label
from features.services.gallery import GalleryFilter, current_labels, features_of
from features.services.label_files.columns import FEATURE_COLUMNS, LABEL_COLUMNS, Column, Row
from features.services.label_files.formats import Format
from latentlens.lib.problems import refused_field

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Export:
    """A file to send; it has no name in its folder any more when it is open, so nothing is left behind."""

    file: Any
    filename: str
    media_type: str


def export(experiment_id: int, wanted: GalleryFilter, contents: str, format: Format) -> Export:
    """Writes what is wanted into a temporary file. `contents`: "labels" or "features". Raises `Refused`."""
    if contents not in CONTENTS:
        raise refused_field("contents", f"There is nothing called “{contents[:20]}” to export: labels or features.")
    columns, rows_of = CONTENTS[contents]
    rows = rows_of(features_of(experiment_id, wanted))
    return _written(columns, rows, format, f"{contents}-of-experiment-{experiment_id}")


def export_labels(labels: QuerySet[Label], format: Format, name: str) -> Export:
    """The same of any labels."""
    return _written(LABEL_COLUMNS, _rows_of_labels(labels), format, name)


def _written(columns: Sequence[Column], rows: Iterator[Row], format: Format, name: str) -> Export:
    with tempfile.TemporaryDirectory(prefix="latent-lens-export-") as folder:
        path = Path(folder) / f"export.{format.name}"
        format.write(path, columns, rows)
        file = path.open("rb")
    return Export(file, f"{name}.{format.name}", format.media_type)


def _label_rows(features: QuerySet[Feature]) -> Iterator[Row]:
    """Every label that has not been withdrawn."""
    labels = Label.objects.filter(feature__in=features.prefetch_related(None).order_by().values("pk"))
    return _rows_of_labels(labels.filter(withdrawn_at=None))


def _rows_of_labels(labels: QuerySet[Label]) -> Iterator[Row]:
    """In the order of features and of time."""
    found = labels.select_related("feature").prefetch_related("tags")
    light = found.defer("feature__summary", "feature__card")
    for label in light.order_by("feature__index", "created_at", "pk").iterator(chunk_size=ROWS_AT_ONCE):
        yield {
            "feature": label.feature.index,
            "text": label.text,
            "note": label.note,
            "tags": label.tag_names,
            "confidence": label.confidence,
            "author": label.who,
            "method": label.method,
            "review": label.review,
            "score": label.score,
            "match_score": label.match_score,
            "is_current": label.is_current,
            "created_at": label.created_at.isoformat(),
            "changed_at": label.changed_at.isoformat(),
        }


def _feature_rows(features: QuerySet[Feature]) -> Iterator[Row]:
    loaded = Feature.objects.filter(pk__in=features.prefetch_related(None).order_by().values("pk"))
    rows: Iterable[Any] = loaded.prefetch_related(current_labels()).order_by("index")
    for feature in rows.iterator(chunk_size=ROWS_AT_ONCE):  # type: ignore[attr-defined]
        label = next(iter(feature.current_labels), None)
        summary = feature.summary
        yield {
            "feature": feature.index,
            "label": label.text if label else "",
            "tags": label.tag_names if label else [],
            "confidence": label.confidence if label else None,
            "author": label.who if label else "",
            **{name: getattr(feature, name) for name in ("tokens", "firings", "documents", "density")},
            **{name: getattr(feature, name) for name in ("max_activation", "mean_activation", "concept", "concept_f1")},
            **{name: [token["text"] for token in summary[name]] for name in ("top_tokens", "promoted", "suppressed")},
        }


CONTENTS: dict[str, tuple[Sequence[Column], Callable[[QuerySet[Feature]], Iterator[Row]]]] = {
    "labels": (LABEL_COLUMNS, _label_rows),
    "features": (FEATURE_COLUMNS, _feature_rows),
}
