"""Searching the harvested text of an experiment: what page, API and command have in common."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, IndexUnavailable
from features.queries import QueryError
from features.queries.search import BEGINNING, FORMATS, After, Search, SearchPage
from latentlens.lib.problems import Conflict, Refused, refused_field

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class QueryRefused(Refused):
    """A query that cannot be understood or run; `pointer` shows the place, where there is one."""

    def __init__(self, error: QueryError) -> None:
        super().__init__(error.message, {"query": error.message})
        self.pointer = error.pointer


@dataclass(frozen=True)
class Found:
    """A page of matches, with the cursor of the next one."""

    page: SearchPage
    next: str | None


@dataclass(frozen=True)
class SearchFile:
    """An open temporary file, at its beginning, which goes when it is closed."""

    file: IO[bytes]
    filename: str
    media_type: str


def search(experiment: Experiment, query: str, *, limit: int, cursor: str | None = None) -> Found:
    """The matches of `query` after `cursor`. Raises QueryRefused, Refused (the cursor), Conflict (no index)."""
    after = _read_cursor(cursor) if cursor else BEGINNING
    try:
        page = Search(_index(experiment), query).page(limit, after)
    except QueryError as error:
        raise QueryRefused(error) from None
    except IndexUnavailable as problem:
        raise Conflict(str(problem)) from None
    return Found(page, f"{page.after.activation!r}:{page.after.position}" if page.after else None)


def export(experiment: Experiment, query: str, format: str) -> SearchFile:
    """Every match as a file. Raises QueryRefused, Refused (the format), Conflict (no index)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matches"
        write(experiment, query, format, path)
        file = path.open("rb")  # on Unix it stays readable when its name is gone
    return SearchFile(file, f"search-{experiment.pk}.{format}", MEDIA_TYPES[format])


def write(experiment: Experiment, query: str, format: str, path: Path) -> None:
    """Every match into the file at `path`; raises as `export`."""
    if format not in FORMATS:
        raise refused_field("format", f"The format must be one of {', '.join(FORMATS)}.")
    try:
        Search(_index(experiment), query).write(path, format)
    except QueryError as error:
        raise QueryRefused(error) from None
    except IndexUnavailable as problem:
        raise Conflict(str(problem)) from None


def _index(experiment: Experiment) -> ActivationIndex:
    if not experiment.has_features:
        raise Conflict(f"This experiment has nothing to search yet: it is {experiment.status}.")
    return ActivationIndex(experiment_folder(experiment.pk))


def _read_cursor(cursor: str) -> After:
    activation, _, position = cursor.partition(":")
    try:
        after = After(float(activation), int(position))
    except ValueError:
        after = After(math.nan, 0)
    if not math.isfinite(after.activation) or not 0 <= after.position < 2**62:
        raise refused_field("cursor", "This cursor does not belong to this list: start again without it.")
    return after
