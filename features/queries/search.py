"""Running a query on an index: how many tokens it finds, a page of them, and all of them as a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from features.activation_index import ActivationIndex, Context, ExampleToken
from features.activation_index.files import connection, readable
from features.activation_index.firings import Firings, firings_at
from features.activation_index.passages import around, text_for, tokens_at
from features.activation_index.text import text_of
from features.queries.compiler import Compiled, Compiler
from features.queries.conditions import features_in
from features.queries.errors import QueryError
from features.queries.parser import parse
from features.queries.texts import matching

if TYPE_CHECKING:
    import duckdb

SEARCH_CONTEXT = Context(before=20, after=12)
LONGEST_SECONDS = 20.0
FORMATS = ("csv", "jsonl", "parquet")

_MATCHES = "SELECT t.position, t.document, t.token FROM read_parquet($tokens) t WHERE t.read AND ({expression})"
_STRENGTH = "SELECT position, activation FROM read_parquet($activations) WHERE feature = $coloured"
_COUNT = "SELECT count(*), count(DISTINCT document) FROM ({matches})"
# The strongest first by the feature that colours them, then in the order of the text.
_PAGE = """
    WITH matches AS MATERIALIZED ({matches}),
    ranked AS (
        SELECT m.*, coalesce(s.activation, 0) AS activation FROM matches m LEFT JOIN ({strength}) s USING (position)
    )
    SELECT position, document, token, activation,
        (SELECT count(*) FROM matches) AS total, (SELECT count(DISTINCT document) FROM matches) AS documents
    FROM ranked
    WHERE activation < $activation OR (activation = $activation AND position > $position)
    ORDER BY activation DESC, position LIMIT $limit
"""
_ROWS = """
    SELECT m.position, m.position // $length AS "window", m.position % $length AS "offset", m.document, d.kind,
        m.token, {text} AS text{activations}
    FROM ({matches}) m JOIN vocabulary v USING (token) LEFT JOIN read_parquet($documents) d USING (document)
    {strengths} ORDER BY m.position
"""
_COPY = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet, COMPRESSION zstd"}
# The rule of latentlens.lib.csv_cells: a spreadsheet takes text that begins so for a formula.
_SAFE_TEXT = "CASE WHEN regexp_matches(v.text, '^[-=+@''\\t\\r]') THEN '''' || v.text ELSE v.text END"


class After(NamedTuple):
    """The last row of the page before; a search begins after nothing."""

    activation: float
    position: int


BEGINNING = After(float("inf"), -1)


@dataclass(frozen=True)
class Match:
    """A token that satisfies the query; `tokens` around it carry the activations of the feature that colours them."""

    position: int
    document: int
    kind: str | None
    token: str
    activation: float
    tokens: tuple[ExampleToken, ...]


@dataclass(frozen=True)
class SearchPage:
    """`total` tokens in so many `documents` satisfy the query; `after` is where the next page begins, if there is one.

    `coloured` is the feature whose activations are shown and rank the matches: the first that the query names.
    """

    items: tuple[Match, ...]
    total: int
    documents: int
    coloured: int | None
    after: After | None


class Search:
    """One query on one index. Raises QueryError when it is made, for what cannot be understood, and when it is run."""

    def __init__(self, index: ActivationIndex, query: str) -> None:
        self._files = index.files
        self._condition = parse(query)
        self.features = features_in(self._condition)

    @property
    def coloured(self) -> int | None:
        return self.features[0] if self.features else None

    def count(self) -> tuple[int, int]:
        """How many tokens satisfy the query, in how many documents. Raises IndexUnavailable."""
        sql = _COUNT.format(matches=self._matches)
        ((tokens, documents),) = self._rows(sql, self._compiled.parameters)
        return tokens, documents

    def page(self, limit: int, after: After = BEGINNING, context: Context = SEARCH_CONTEXT) -> SearchPage:
        """The first `limit` matches after a place. Raises IndexUnavailable."""
        sql = _PAGE.format(matches=self._matches, strength=_STRENGTH)
        parameters = {"coloured": -1 if self.coloured is None else self.coloured, "limit": limit + 1, **after._asdict()}
        rows = self._rows(sql, self._compiled.parameters | parameters)
        total, documents = rows[0][4:] if rows else self.count()
        shown = rows[:limit]
        last = After(shown[-1][3], shown[-1][0]) if len(rows) > limit else None
        return SearchPage(self._shown(shown, context), total, documents, self.coloured, last)

    def write(self, path: Path, format: str) -> None:
        """Every match as a row of a file, in the order of the text: its place, its token, and the activation of every
        feature that the query names. Raises IndexUnavailable."""
        numbers = range(len(self.features))
        sql = _ROWS.format(
            matches=self._matches,
            text=_SAFE_TEXT if format == "csv" else "v.text",
            activations="".join(
                f", coalesce(s{n}.activation, 0)::FLOAT AS activation_{self.features[n]}" for n in numbers
            ),
            strengths=" ".join(f"LEFT JOIN ({_strength(n)}) s{n} ON s{n}.position = m.position" for n in numbers),
        )
        chosen = {f"feature_{n}": self.features[n] for n in numbers}
        parameters = {"length": self._text.context_length, "path": str(path), **chosen}
        with self._running() as opened:
            texts = np.array(self._files.vocabulary(), object)
            opened.register("vocabulary", {"token": np.arange(len(texts), dtype=np.int32), "text": texts})
            copy = f"COPY ({sql}) TO $path ({_COPY[format]})"
            opened.execute(copy, self._files.parameters(copy, **self._compiled.parameters, **parameters))

    @cached_property
    def _text(self) -> Any:
        return text_of(self._files)

    @cached_property
    def _compiled(self) -> Compiled:
        vocabulary = self._files.vocabulary()
        kinds = sorted({kind for kind in self._text.kinds if kind is not None})
        return Compiler(
            self._text.context_length,
            lambda *wanted: matching(vocabulary, *wanted),
            lambda *wanted: [kinds[number] for number in matching(kinds, *wanted)],
        ).compile(self._condition)

    @property
    def _matches(self) -> str:
        return _MATCHES.format(expression=self._compiled.expression)

    def _shown(self, rows: list[tuple[Any, ...]], context: Context) -> tuple[Match, ...]:
        runs = around(self._text, [row[0] for row in rows], context)
        vocabulary, passages = self._files.vocabulary(), tokens_at(self._files, runs, self._nearby(runs))
        return tuple(
            Match(position, document, self._text.kind_of(document), text_for(vocabulary, token), activation, tokens)
            for (position, document, token, activation, *_), tokens in zip(rows, passages, strict=True)
        )

    def _nearby(self, runs: list[Any]) -> Firings:
        if self.coloured is None or not runs:
            return Firings(np.empty(0, np.int64), np.empty(0, np.float32))
        return firings_at(self._files, self.coloured, np.unique(np.concatenate(runs)))

    def _rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._running() as opened:
            return opened.execute(sql, self._files.parameters(sql, **parameters)).fetchall()

    @contextmanager
    def _running(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection on which a query is stopped when it takes too long or too much memory."""
        import duckdb  # noqa: PLC0415 - as in features.activation_index.files

        with readable():
            opened = connection()
            timer = threading.Timer(LONGEST_SECONDS, opened.interrupt)
            timer.start()
            try:
                yield opened
            except (duckdb.InterruptException, duckdb.OutOfMemoryException):
                raise QueryError(
                    f"This search takes more than {LONGEST_SECONDS:.0f} seconds or too much memory: make it narrower"
                ) from None
            finally:
                timer.cancel()


def _strength(number: int) -> str:
    return f"SELECT position, activation FROM read_parquet($activations) WHERE feature = $feature_{number}"
