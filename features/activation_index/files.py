"""The files of one index, and the DuckDB that reads them; whatever is wrong with them is one sentence."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import ExperimentFolder

if TYPE_CHECKING:
    import duckdb

UNAVAILABLE = "The activation index of this experiment is missing or damaged: harvest it again."


class IndexUnavailable(ValueError):  # noqa: N818 - says what is so, as it reads where it is caught
    """The files are missing or damaged; the message is one sentence for the person who asked."""


@dataclass(frozen=True)
class IndexFiles:
    """Runs queries on the files of one experiment. Safe in any thread: every query has a connection of its own."""

    folder: ExperimentFolder

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows that `query` finds. Raises IndexUnavailable."""
        with readable():
            return connection().execute(query, self.parameters(query, **parameters)).fetchall()

    def records(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """The same with the names of the columns. Raises IndexUnavailable."""
        with readable():
            found = connection().execute(query, self.parameters(query, **parameters))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def columns(
        self, query: str, tables: Mapping[str, Mapping[str, NDArray[Any]]] | None = None, **parameters: Any
    ) -> dict[str, NDArray[Any]]:
        """The same as arrays by column; `tables` are further ones that the query names. Raises IndexUnavailable."""
        with readable():
            opened = connection()
            for name, columns in (tables or {}).items():
                opened.register(name, columns)
            found: dict[str, NDArray[Any]] = opened.execute(query, self.parameters(query, **parameters)).fetchnumpy()
            return {name: np.ma.getdata(column) for name, column in found.items()}

    def vocabulary(self) -> list[str]:
        """The display strings by token id. Raises IndexUnavailable."""
        with readable():
            return _read_vocabulary(self.folder.vocabulary, version_of(self.folder.vocabulary))

    def parameters(self, query: str, **parameters: Any) -> dict[str, Any]:
        """`parameters`, and the path of each file that `query` names; DuckDB refuses what a query does not use."""
        paths = {
            "activations": self.folder.activations,
            "tokens": self.folder.tokens,
            "documents": self.folder.documents,
            "summaries": self.folder.features,
        }
        return parameters | {name: str(path) for name, path in paths.items() if f"read_parquet(${name})" in query}


def version_of(path: Path) -> tuple[int, int]:
    """What tells a file that was written again from the old one."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


@contextmanager
def readable() -> Iterator[None]:
    """Whatever goes wrong with the files inside becomes IndexUnavailable."""
    import duckdb  # noqa: PLC0415 - a fifth of the web process's start, and only evidence needs it

    try:
        yield
    except (duckdb.Error, OSError, ValueError) as error:
        raise IndexUnavailable(UNAVAILABLE) from error


def connection() -> duckdb.DuckDBPyConnection:
    """A new connection; all of them share one in-memory database per process, which keeps what it knows of files."""
    return _database(os.getpid()).cursor()


@functools.lru_cache(maxsize=8)
def _read_vocabulary(path: Path, version: tuple[int, int]) -> list[str]:
    vocabulary: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return vocabulary


@functools.cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """One per process, also after a fork. It owns no data, spills nothing to disk and fetches nothing."""
    import duckdb  # noqa: PLC0415 - as above

    database = duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": "1GB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    database.execute("SET GLOBAL parquet_metadata_cache = true")
    return database
