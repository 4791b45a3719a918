"""A small activation index whose every activation is known by a rule, in the layout that the harvest writes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.engine.artifacts import ExperimentFolder

WEEKDAYS = (" Monday", " Tuesday", " Friday")
SCRIPT = "<script>alert(1)</script>"
DOCUMENTS = 60
WINDOW = 16
FEATURES = 40
WEEKDAY, NEWLINE, MARKUP, DEAD, ALWAYS_ON, ONCE, TWICE = range(7)

Rule = Callable[[str, int], float]


def document(number: int) -> list[str]:
    weekday = WEEKDAYS[number % len(WEEKDAYS)]
    name = SCRIPT if number % 20 == 7 else " Tom"
    return [
        "Dear",
        " Clara",
        ",",
        " we",
        " meet",
        " on",
        weekday,
        " at",
        " noon",
        ".",
        "\n",
        "Your",
        " friend",
        name,
        ".",
    ]


RULES: dict[int, Rule] = {
    WEEKDAY: lambda token, document: 12 - document / 10 if token in WEEKDAYS else 0.0,
    NEWLINE: lambda token, document: 2.0 if token == "\n" else 0.0,
    MARKUP: lambda token, document: 5.0 if token == SCRIPT else 0.0,
    DEAD: lambda token, document: 0.0,
    ALWAYS_ON: lambda token, document: 0.5 + len(token) / 100,
    ONCE: lambda token, document: 3.0 if token == " Clara" and document == 41 else 0.0,
    TWICE: lambda token, document: (
        {" we": 1.0, " meet": 4.0}.get(token, 0.0) + document / 100 if token in {" we", " meet"} else 0.0
    ),
}


def rule(feature: int) -> Rule:
    """The features without a rule of their own fire in a share of the documents, on the word "noon"."""
    return RULES.get(feature) or (
        lambda token, document: feature / 10 if token == " noon" and document >= feature else 0.0
    )


@dataclass
class SyntheticIndex:
    """The tokens and activations of the index, in plain Python, to compare answers with."""

    tokens: list[tuple[int, int, int, str]] = field(default_factory=list)  # position, window, document, text
    activations: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def vocabulary(self) -> list[str]:
        return sorted({text for _, _, _, text in self.tokens})

    def strongest(self, feature: int) -> list[tuple[float, int]]:
        """(activation, position) of every firing, strongest first, of equal ones the earliest."""
        return sorted(
            ((value, place) for place, value in self.activations[feature].items()), key=lambda pair: (-pair[0], pair[1])
        )


def synthetic_index() -> SyntheticIndex:
    index = SyntheticIndex()
    for number in range(DOCUMENTS):
        for text in document(number):
            position = len(index.tokens)
            index.tokens.append((position, position // WINDOW, number, text))
            for feature in range(FEATURES):
                if activation := rule(feature)(text, number):
                    index.activations[feature][position] = float(np.float32(activation))
    return index


def write_index(folder: ExperimentFolder) -> SyntheticIndex:
    """Writes the Parquet files and the vocabulary, and returns what they say."""
    index = synthetic_index()
    folder.index.mkdir(parents=True)
    ids = {text: number for number, text in enumerate(index.vocabulary)}
    folder.vocabulary.write_text(json.dumps(index.vocabulary))
    pq.write_table(_tokens(index, ids), folder.tokens)
    pq.write_table(_documents(), folder.documents)
    pq.write_table(_activations(index), folder.activations, row_group_size=100)
    pq.write_table(
        pa.Table.from_pylist([_summary(index, ids, feature) for feature in range(FEATURES)]), folder.features
    )
    return index


def _tokens(index: SyntheticIndex, ids: dict[str, int]) -> pa.Table:
    positions, windows, documents, texts = zip(*index.tokens, strict=True)
    return pa.table(
        {
            "position": pa.array(positions, pa.int64()),
            "window": pa.array(windows, pa.int32()),
            "document": pa.array(documents, pa.int32()),
            "token": pa.array([ids[text] for text in texts], pa.int32()),
            "read": pa.array([True] * len(texts)),
        }
    )


def _documents() -> pa.Table:
    length = len(document(0))
    numbers = range(DOCUMENTS)
    return pa.table(
        {
            "document": pa.array(numbers, pa.int32()),
            "start": pa.array([number * length for number in numbers], pa.int64()),
            "tokens": pa.array([length] * DOCUMENTS, pa.int32()),
            "kind": pa.array(["letter" if number % 2 else None for number in numbers], pa.string()),
        }
    )


def _activations(index: SyntheticIndex) -> pa.Table:
    rows = [(feature, place, value) for feature in range(FEATURES) for value, place in index.strongest(feature)]
    features, positions, values = zip(*rows, strict=True)
    return pa.table(
        {
            "feature": pa.array(features, pa.int32()),
            "position": pa.array(positions, pa.int64()),
            "activation": pa.array(values, pa.float32()),
        }
    )


def _summary(index: SyntheticIndex, ids: dict[str, int], feature: int) -> dict[str, Any]:
    values = sorted(index.activations[feature].values())
    edges = list(np.geomspace(values[0], values[-1] * 1.01, 5)) if values else []
    return {
        "index": feature,
        "tokens": len(index.tokens),
        "firings": len(values),
        "documents": len({index.tokens[place][2] for place in index.activations[feature]}),
        "density": len(values) / len(index.tokens),
        "max_activation": max(values, default=0.0),
        "mean_activation": sum(values) / len(values) if values else 0.0,
        "histogram": {"edges": edges, "counts": np.histogram(values, edges)[0].tolist() if values else []},
        "quantiles": [
            {"share": share, "activation": float(np.quantile(values, share))} for share in (0.5, 0.9) if values
        ],
        "top_tokens": list(_top_tokens(index, ids, feature)),
        "promoted": [
            {"token": ids[" at"], "text": " at", "logit": 1.5},
            {"token": ids[SCRIPT], "text": SCRIPT, "logit": 0.5},
        ],
        "suppressed": [{"token": ids["\n"], "text": "\n", "logit": -2.5}],
        "logit_histogram": {"edges": [-2.5, -0.5, 1.5], "counts": [1, 11]},
        "nearest_by_encoder": [{"index": (feature + 3) % FEATURES, "cosine": 0.55}],
        "inputs": [{"dimension": 17, "weight": -0.75, "share": 0.375}],
        "nearest": [{"index": (feature + step) % FEATURES, "cosine": 0.9 - step / 10} for step in (1, 2)],
        "concept": {"name": "weekday", "precision": 1.0, "recall": 0.95, "f1": 0.974} if feature == WEEKDAY else None,
    }


def _top_tokens(index: SyntheticIndex, ids: dict[str, int], feature: int) -> Iterator[dict[str, Any]]:
    texts = Counter(text for _, _, _, text in index.tokens)
    fired = Counter(index.tokens[place][3] for place in index.activations[feature])
    for text, firings in fired.most_common(10):
        yield {
            "token": ids[text],
            "text": text,
            "firings": firings,
            "share": firings / fired.total(),
            "occurrences": texts[text],
        }
