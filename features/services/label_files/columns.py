"""The columns of the files in which labels and features travel: one list for writing, reading and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["integer", "number", "flag", "text", "texts"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: `texts` is a list of texts; integers, flags and texts are never null, numbers may be."""

    name: str
    kind: Kind
    meaning: str


LABEL_COLUMNS = (
    Column("feature", "integer", "Index of the feature."),
    Column("text", "text", "The label."),
    Column("note", "text", "Its note."),
    Column("tags", "texts", "Its tags."),
    Column("confidence", "number", "0 to 1; empty: not said."),
    Column("author", "text", "The person (and API key) or the method."),
    Column("method", "text", "The machine's method; empty: a person."),
    Column("review", "text", "Empty, pending, approved or rejected."),
    Column("score", "number", "Balanced accuracy of its newest detection test."),
    Column("match_score", "number", "Of a transferred label: how well the features match."),
    Column("is_current", "flag", "It is the feature's current label."),
    Column("created_at", "text", "ISO 8601, UTC."),
    Column("changed_at", "text", "ISO 8601, UTC."),
)
FEATURE_COLUMNS = (
    Column("feature", "integer", "Index of the feature."),
    Column("label", "text", "Its current label."),
    Column("tags", "texts", "The tags of that label."),
    Column("confidence", "number", "Of that label."),
    Column("author", "text", "Of that label."),
    Column("tokens", "integer", "Tokens that were harvested."),
    Column("firings", "integer", "Those on which it fires."),
    Column("documents", "integer", "Documents in which it fires."),
    Column("density", "number", "firings / tokens."),
    Column("max_activation", "number", "Largest activation."),
    Column("mean_activation", "number", "Mean where it fires."),
    Column("concept", "text", "Planted concept that it finds."),
    Column("concept_f1", "number", "How well, F1."),
    Column("top_tokens", "texts", "Tokens on which it fires most often."),
    Column("promoted", "texts", "Tokens that it promotes."),
    Column("suppressed", "texts", "Tokens that it suppresses."),
)
