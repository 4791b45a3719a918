"""The only reader of an experiment's Parquet files: what a feature fired on, answered by DuckDB.

Every activation of the harvest is on disk, so counts are exact and examples are the true best ones. Columns and
sorting are those that `experiments.engine.harvest` writes: `activations` is sorted by feature and then by falling
activation, which lets DuckDB skip everything that belongs to other features.
"""

from __future__ import annotations

import functools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.engine.artifacts import ExperimentFolder

if TYPE_CHECKING:
    import duckdb

# Every position on which a feature of the range fired, with its document.
_FIRED = """
    SELECT a.feature, a.position, a.activation, t.document
    FROM read_parquet($activations) a JOIN read_parquet($tokens) t USING (position)
    WHERE a.feature BETWEEN $first AND $last
"""
_EVERY_FIRING = "SELECT * FROM fired"
# The strongest firing in each document; of equal ones the earliest, so that every reading gives the same answer.
_ONE_PER_DOCUMENT = """
    SELECT feature, document, max(activation) AS activation, arg_max(position, (activation, -position)) AS position
    FROM fired GROUP BY feature, document
"""
_RANKED = """
    WITH fired AS ({fired}), candidates AS ({candidates}), ranked AS (
        SELECT *, row_number() OVER strongest AS rank, count(*) OVER (PARTITION BY feature) AS total
        FROM candidates WINDOW strongest AS (PARTITION BY feature ORDER BY activation DESC, position)
    )
    SELECT feature, position, activation, document, rank, total, d.kind
    FROM ranked LEFT JOIN read_parquet($documents) d USING (document)
    WHERE rank >= $rank AND rank < $rank + $count
    ORDER BY feature, rank
"""
_CONTEXT = """
    SELECT position, "window", document, token FROM read_parquet($tokens)
    WHERE position IN (SELECT unnest($positions::BIGINT[]))
"""
_CONTEXT_ACTIVATIONS = """
    SELECT feature, position, activation FROM read_parquet($activations)
    WHERE feature BETWEEN $first AND $last
      AND (feature, position) IN (SELECT (unnest($features::INTEGER[]), unnest($positions::BIGINT[])))
"""
_MOST_FREQUENT = """
    SELECT "index", firings FROM (
        SELECT "index", firings FROM read_parquet($summaries) ORDER BY firings DESC, "index" LIMIT $limit
    ) ORDER BY "index"
"""
_SUMMARIES = """
    SELECT * FROM read_parquet($summaries)
    WHERE "index" IN (SELECT unnest($indices::INTEGER[])) ORDER BY "index"
"""


_HARVESTED = "SELECT count(*) FROM read_parquet($tokens)"


class IndexUnavailable(ValueError):  # noqa: N818 - says what is so, as it reads where it is caught
    """The files are missing or damaged; the message is one sentence for the person who asked."""


class Context(NamedTuple):
    """How many tokens to show around the token on which a feature fires."""

    before: int
    after: int


PAGE_CONTEXT = Context(before=32, after=16)
CARD_CONTEXT = Context(before=11, after=7)


@dataclass(frozen=True)
class ExampleToken:
    """One token of an example; `activation` is 0.0 where the feature is silent."""

    text: str
    activation: float
    position: int


@dataclass(frozen=True)
class Example:
    """Tokens of one document around a position on which a feature fires, cut to the window the model saw."""

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


class _Place(NamedTuple):
    """What lies on one position. Tokens of another document or window are no context: the model did not see them."""

    passage: tuple[int, int]
    text: str


class _Peak(NamedTuple):
    feature: int
    position: int
    activation: float
    document: int
    rank: int
    total: int
    kind: str | None


class ActivationIndex:
    """Answers questions about one experiment's features from its files. Cheap to make; reads nothing until asked."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder

    def examples(
        self,
        feature: int,
        *,
        rank: int = 1,
        count: int = 10,
        one_per_document: bool = True,
        context: Context = PAGE_CONTEXT,
    ) -> ExamplePage:
        """The examples of `feature` with the ranks `rank` to `rank + count - 1`; rank 1 is the strongest.

        With `one_per_document` a document counts once, with its strongest token; otherwise every firing counts.
        Raises IndexUnavailable.
        """
        pages = self._pages(feature, feature, rank, count, one_per_document, context)
        return pages.get(feature, ExamplePage())

    def best_examples(self, first: int, last: int, count: int = 3) -> dict[int, ExamplePage]:
        """The best `count` examples, one per document, of every live feature from index `first` to `last`.

        One batch of queries whatever the range; memory grows with the firings in it. Raises IndexUnavailable.
        """
        return self._pages(first, last, 1, count, True, CARD_CONTEXT)

    def most_frequent(self, limit: int) -> list[tuple[int, int]]:
        """(index, firings) of the `limit` most frequent features (0: of all), by index. Raises IndexUnavailable."""
        return self._rows(_MOST_FREQUENT, limit=limit or 2**31 - 1)

    def summaries(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """What the harvest says about each of these features, by index. Raises IndexUnavailable."""
        with _readable():
            found = _connection().execute(_SUMMARIES, self._parameters(_SUMMARIES, indices=list(indices)))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def token_count(self) -> int:
        """How many tokens were harvested. Raises IndexUnavailable."""
        return int(self._rows(_HARVESTED)[0][0])

    def _pages(
        self, first: int, last: int, rank: int, count: int, one_per_document: bool, context: Context
    ) -> dict[int, ExamplePage]:
        candidates = _ONE_PER_DOCUMENT if one_per_document else _EVERY_FIRING
        query = _RANKED.format(fired=_FIRED, candidates=candidates)
        peaks = [_Peak(*row) for row in self._rows(query, first=first, last=last, rank=rank, count=count)]
        passages = self._passages(peaks, context)
        by_feature: dict[int, list[Example]] = defaultdict(list)
        for peak, tokens in zip(peaks, passages, strict=True):
            by_feature[peak.feature].append(
                Example(peak.rank, peak.activation, peak.position, peak.document, peak.kind, tokens)
            )
        totals = {peak.feature: peak.total for peak in peaks}
        return {feature: ExamplePage(tuple(items), totals[feature]) for feature, items in by_feature.items()}

    def _passages(self, peaks: Sequence[_Peak], context: Context) -> list[tuple[ExampleToken, ...]]:
        """The tokens around each peak, each with the activation of the peak's own feature."""
        if not peaks:
            return []
        around = [range(peak.position - context.before, peak.position + context.after + 1) for peak in peaks]
        places = self._places({position for positions in around for position in positions})
        activations = self._activations(
            [(peak.feature, position) for peak, positions in zip(peaks, around, strict=True) for position in positions]
        )
        return [
            tuple(
                ExampleToken(places[position].text, activations.get((peak.feature, position), 0.0), position)
                for position in positions
                if position in places and places[position].passage == places[peak.position].passage
            )
            for peak, positions in zip(peaks, around, strict=True)
        ]

    def _places(self, positions: Iterable[int]) -> dict[int, _Place]:
        vocabulary = self._vocabulary()
        rows = self._rows(_CONTEXT, positions=list(positions))
        return {
            position: _Place((window, document), _text(vocabulary, token)) for position, window, document, token in rows
        }

    def _activations(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
        features, positions = zip(*wanted, strict=True)
        rows = self._rows(
            _CONTEXT_ACTIVATIONS, first=min(features), last=max(features), features=features, positions=positions
        )
        return {(feature, position): activation for feature, position, activation in rows}

    def _vocabulary(self) -> list[str]:
        with _readable():
            path = self._folder.vocabulary
            return _read_vocabulary(path, path.stat().st_mtime_ns)

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with _readable():
            return _connection().execute(query, self._parameters(query, **parameters)).fetchall()

    def _parameters(self, query: str, **parameters: Any) -> dict[str, Any]:
        """`parameters`, and the path of each file that `query` names; DuckDB refuses what a query does not use."""
        paths = {
            "activations": self._folder.activations,
            "tokens": self._folder.tokens,
            "documents": self._folder.documents,
            "summaries": self._folder.features,
        }
        return parameters | {name: str(path) for name, path in paths.items() if f"read_parquet(${name})" in query}


def _text(vocabulary: list[str], token: int) -> str:
    return vocabulary[token] if token < len(vocabulary) else f"⟨{token}⟩"


@functools.lru_cache(maxsize=8)
def _read_vocabulary(path: Path, modified: int) -> list[str]:
    """The display strings by token id; `modified` only tells a file that was written again from the old one."""
    vocabulary: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return vocabulary


@contextmanager
def _readable() -> Iterator[None]:
    import duckdb  # noqa: PLC0415 - a fifth of the web process's start, and only evidence needs it

    try:
        yield
    except (duckdb.Error, OSError, ValueError) as error:
        raise IndexUnavailable(
            "The activation index of this experiment is missing or damaged; run the experiment again to harvest it."
        ) from error


def _connection() -> duckdb.DuckDBPyConnection:
    """A connection for the calling thread; all of them share one in-memory database per process."""
    return _database(os.getpid()).cursor()


@functools.cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """One per process, also after a fork. It owns no data, spills nothing to disk and fetches nothing."""
    import duckdb  # noqa: PLC0415 - as above

    return duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": "1GB",
            "temp_directory": "",
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
