"""The evidence for one feature as a file: everything that its page shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

from features.models import Label
from features.services.evidence import Evidence, evidence_of
from features.services.firing_evidence import FiringEvidence
from latentlens.lib.csv_cells import safe_cell
from latentlens.lib.problems import refused_field

MEDIA_TYPES = {"json": "application/json; charset=utf-8", "csv": "text/csv; charset=utf-8"}
EXAMPLES = 20
COLUMNS = ("part", "number", "feature", "token", "value", "firings", "share", "recall", "position", "document", "text")

Row = dict[str, Any]


@dataclass(frozen=True)
class EvidenceFile:
    """An open file at its beginning; `filename` is made of numbers alone."""

    file: IO[bytes]
    filename: str
    media_type: str


def evidence_file(experiment_id: int, index: int, format: str) -> EvidenceFile:
    """The evidence as `json`, or as the rows of a `csv` in which no cell is a formula.

    Raises NotFound, Refused (the format) or IndexMissing.
    """
    if format not in MEDIA_TYPES:
        raise refused_field("format", f"The format must be one of {', '.join(MEDIA_TYPES)}.")
    record = evidence_record(evidence_of(experiment_id, index))
    text = json.dumps(record, ensure_ascii=False, indent=1) if format == "json" else _as_csv(record)
    return EvidenceFile(io.BytesIO(text.encode()), f"feature-{experiment_id}-{index}.{format}", MEDIA_TYPES[format])


def evidence_record(evidence: Evidence) -> dict[str, Any]:
    """Everything as JSON has it. Raises IndexMissing."""
    feature, firing = evidence.feature, FiringEvidence(evidence.feature)
    experiment = feature.experiment
    return {
        "experiment": {
            "id": experiment.pk,
            "name": experiment.name,
            "model": experiment.model,
            "layer": experiment.layer,
            "site": experiment.site,
        },
        "index": feature.index,
        "labels": [_label(label) for label in evidence.labels],
        "detection_test": evidence.detection
        and {
            name: getattr(evidence.detection, name)
            for name in (
                "balanced_accuracy",
                "low",
                "high",
                "true_positives",
                "false_negatives",
                "true_negatives",
                "false_positives",
            )
        },
        "tokens_read": feature.tokens,
        "firings": feature.firings,
        "documents": feature.documents,
        "density": feature.density,
        "density_interval": list(evidence.density),
        "max_activation": feature.max_activation,
        "mean_activation": feature.mean_activation,
        **feature.summary,
        "tokens": [asdict(use) for use in firing.tokens()],
        "window": [asdict(place) for place in firing.window()],
        "examples": [asdict(example) for example in firing.examples(count=EXAMPLES).items],
        "strata": [asdict(stratum) for stratum in firing.strata().items],
        "near_misses": [asdict(miss) for miss in firing.near_misses().items],
        "co_firing": [asdict(row.counted) | {"label": row.label} for row in firing.co_firing().items],
    }


def _label(label: Label) -> dict[str, Any]:
    return {
        "text": label.text,
        "note": label.note,
        "tags": label.tag_names,
        "author": label.who,
        "confidence": label.confidence,
        "score": label.score,
        "is_current": label.is_current,
    }


def _as_csv(record: dict[str, Any]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    for row in _rows(record):
        writer.writerow({name: safe_cell(cell) for name, cell in row.items()})
    return text.getvalue()


def _rows(record: dict[str, Any]) -> Iterator[Row]:
    """One row for each fact, example, token and feature; `value` is what the docs say for the part."""
    for fact in ("tokens_read", "firings", "documents", "density", "max_activation", "mean_activation"):
        yield {"part": fact, "value": record[fact]}
    yield from _numbered("label", ({"text": label["text"], "value": label["score"]} for label in record["labels"]))
    yield from _numbered("example", map(_example_row, record["examples"]))
    for number, stratum in enumerate(record["strata"], start=1):
        yield from _numbered(f"stratum {number}", map(_example_row, stratum["examples"]))
    yield from _numbered("near miss", map(_near_miss_row, record["near_misses"]))
    yield from _numbered(
        "token",
        (
            {"token": use["text"], "firings": use["firings"], "share": use["share"], "recall": use["recall"]}
            for use in record["tokens"]
        ),
    )
    for part in ("promoted", "suppressed"):
        yield from _numbered(part, ({"token": row["text"], "value": row["logit"]} for row in record[part]))
    for part, found in (
        ("nearest by decoder", record["nearest"]),
        ("nearest by encoder", record.get("nearest_by_encoder", [])),
    ):
        yield from _numbered(part, ({"feature": row["index"], "value": row["cosine"]} for row in found))
    yield from _numbered(
        "co-firing",
        (
            {"feature": row["index"], "value": row["jaccard"], "firings": row["both"], "text": row["label"]}
            for row in record["co_firing"]
        ),
    )


def _numbered(part: str, rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        yield {"part": part, "number": number, **row}


def _example_row(example: Row) -> Row:
    return _place(example) | {"value": example["activation"]}


def _near_miss_row(miss: Row) -> Row:
    return _place(miss) | {"token": miss["token"], "value": 0.0}


def _place(found: Row) -> Row:
    return {"position": found["position"], "document": found["document"], "text": _text(found["tokens"])}


def _text(tokens: Iterable[Row]) -> str:
    return "".join(token["text"] for token in tokens)
