"""Examples of a feature: the strongest, those of a range of features, and samples at quantiles of the activation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings, firings_at, firings_of_range, strongest_firings
from features.activation_index.passages import Context, ExampleToken, around, tokens_at
from features.activation_index.text import text_of

# So many of the strongest firings are read at first, nearly always all there are: one query then tells everything. Of
# features that fire more often, so many times more as long as they are needed.
FIRINGS_AT_ONCE = 2**16
TIMES_MORE = 16
# Firings of a stratum among which examples are looked for, for each one wanted: enough to find other documents.
CANDIDATES_PER_EXAMPLE = 16

_TOTALS = 'SELECT firings, documents FROM read_parquet($summaries) WHERE "index" = $feature'

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """Tokens of one document around a position on which a feature fires, cut to the window the model saw.

    `rank` is its place among the examples that it was taken from: documents, or firings. 1 is the strongest.
    """

    rank: int
    activation: float
    position: int
    document: int
    kind: str | None
    tokens: tuple[ExampleToken, ...]


@dataclass(frozen=True)
class ExamplePage:
    """Examples of one feature from one rank on; `total` counts documents, or firings where every firing is shown."""

    items: tuple[Example, ...] = ()
    total: int = 0

    @property
    def next_rank(self) -> int | None:
        """The rank of the first example after this page. Ranks are for ever: the files never change."""
        last = self.items[-1].rank if self.items else self.total
        return last + 1 if last < self.total else None


@dataclass(frozen=True)
class Stratum:
    """The firings between two quantiles of the activations above zero, and some of them as examples.

    Ranks of the examples are among all firings.
    """

    low_share: float  # quantiles: 0 is the weakest firing, 1 the strongest
    high_share: float
    low: float  # activations
    high: float
    firings: int
    examples: tuple[Example, ...]


def strongest(
    files: IndexFiles, feature: int, rank: int, count: int, one_per_document: bool, context: Context
) -> ExamplePage:
    """The examples with the ranks `rank` to `rank + count - 1`."""

    def found(firings: Firings) -> Rows:
        return _first_of_documents(files, firings) if one_per_document else np.arange(len(firings))

    limit, last = FIRINGS_AT_ONCE, rank + count - 1
    firings = strongest_firings(files, feature, limit)
    rows = found(firings)
    if len(firings) < limit:  # all of them
        chosen = rows[rank - 1 : last]
        return ExamplePage(_shown(files, firings, chosen, range(rank, last + 1), context, firings), len(rows))
    total = files.rows(_TOTALS, feature=feature)[0][1 if one_per_document else 0]
    if rank > total:
        return ExamplePage(total=total)
    while len(rows) < min(total, last) and len(firings) == limit:
        limit *= TIMES_MORE
        firings = strongest_firings(files, feature, limit)
        rows = found(firings)
    chosen = rows[rank - 1 : last]
    return ExamplePage(_examples(files, feature, firings, chosen, range(rank, last + 1), context), total)


def best_of_range(files: IndexFiles, first: int, last: int, count: int, context: Context) -> dict[int, ExamplePage]:
    """The best `count` examples, one per document, of every live feature of a range; memory grows with its firings."""
    pages = {}
    for feature, firings in firings_of_range(files, first, last).items():
        rows = _first_of_documents(files, firings)
        items = _shown(files, firings, rows[:count], range(1, count + 1), context, firings)
        pages[feature] = ExamplePage(items, len(rows))
    return pages


def strata(files: IndexFiles, firings: Firings, parts: int, count: int, seed: int, context: Context) -> list[Stratum]:
    """`parts` ranges of equally many firings, strongest first, each with up to `count` seeded examples, one per
    document where there are as many documents. Fewer parts where there are fewer firings."""
    parts = min(parts, len(firings))
    bounds = np.linspace(0, len(firings), parts + 1).round().astype(int).tolist()
    random, found = np.random.default_rng(seed), []
    for start, stop in itertools.pairwise(bounds):
        candidates = min(stop - start, count * CANDIDATES_PER_EXAMPLE)
        rows = start + random.choice(stop - start, size=candidates, replace=False)
        rows = np.sort(_other_documents_first(files, firings, rows)[:count])
        examples = _shown(files, firings, rows, [row + 1 for row in rows.tolist()], context, firings)
        activations = firings.activations[start:stop]
        shares = (1 - stop / len(firings), 1 - start / len(firings))
        found.append(Stratum(*shares, float(activations[-1]), float(activations[0]), stop - start, examples))
    return found


def _first_of_documents(files: IndexFiles, firings: Firings) -> Rows:
    """The rows of the strongest firing in each document, strongest first."""
    _, rows = np.unique(text_of(files).document_at(firings.positions), return_index=True)
    return np.sort(rows)


def _other_documents_first(files: IndexFiles, firings: Firings, rows: Rows) -> Rows:
    """The same rows, those in front that are the first of their document."""
    _, first = np.unique(text_of(files).document_at(firings.positions[rows]), return_index=True)
    first = np.sort(first)
    return np.concatenate([rows[first], np.delete(rows, first)])


def _examples(
    files: IndexFiles, feature: int, firings: Firings, rows: Rows, ranks: Sequence[int], context: Context
) -> tuple[Example, ...]:
    """As `_shown`, where `firings` are only the strongest: the context's other activations are read from the files."""
    runs = around(text_of(files), firings.positions[rows].tolist(), context)
    nearby = firings_at(files, feature, np.unique(np.concatenate(runs))) if runs else firings
    return _shown(files, firings, rows, ranks, context, nearby)


def _shown(
    files: IndexFiles, firings: Firings, rows: Rows, ranks: Sequence[int], context: Context, nearby: Firings
) -> tuple[Example, ...]:
    """The firings in `rows` as examples; `nearby` holds at least the firings in their context."""
    text, positions = text_of(files), firings.positions[rows]
    documents, activations = text.document_at(positions).tolist(), firings.activations[rows].tolist()
    passages = tokens_at(files, around(text, positions.tolist(), context), nearby)
    return tuple(
        Example(rank, activation, position, document, text.kind_of(document), tokens)
        for rank, activation, position, document, tokens in zip(
            ranks, activations, positions.tolist(), documents, passages, strict=False
        )
    )
