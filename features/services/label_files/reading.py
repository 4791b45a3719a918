"""Rows out of a file of each format, one at a time. What cannot be read is one sentence with the row's number.

A file may come from elsewhere: only `feature` and `text` are required, other columns are taken where they exist.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from features.services.label_files.columns import Column, Row
from features.services.labels import tags_in
from latentlens.lib.csv_cells import original_cell
from latentlens.lib.problems import refused_field

REQUIRED = ("feature", "text")
_READ_CHARACTERS = 2**16
_LONGEST_ROW = 2**20  # characters; a label of the largest size is a fiftieth of it

Reader = Callable[[Path, Sequence[Column]], Iterator[Row]]


class UnreadableFile(ValueError):  # noqa: N818 - says what is so, as it reads where it is caught
    """The file is not what its ending says, or ends too early; the message is one sentence."""


def read_csv(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        kinds = {column.name: column for column in columns}
        _require_columns(rows.fieldnames or ())
        for row in rows:
            if None in row or None in row.values():
                raise UnreadableFile(f"Line {rows.line_num:,} has another number of cells than the first line.")
            cells = {name: original_cell(cell) for name, cell in row.items() if name in kinds}
            yield {name: _csv_value(cell, kinds[name]) for name, cell in cells.items()}


def read_jsonl(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(_lines(file), start=1):
            if line.strip():
                yield _object(_parsed(line, f"Line {number:,}"), f"Line {number:,}", columns)


def read_json(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    """One array of objects, read a piece at a time."""
    with path.open(encoding="utf-8") as file:
        for number, value in enumerate(_array_items(file), start=1):
            yield _object(value, f"Row {number:,}", columns)


def read_parquet(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 - the web process starts without it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            _require_columns(file.schema_arrow.names)
            names = [column.name for column in columns if column.name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=2_000, columns=names):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise UnreadableFile("This is no complete Parquet file: write it again.") from error


def read_hdf5(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    import h5py  # noqa: PLC0415 - the web process starts without it

    try:
        with h5py.File(path, "r") as file:
            _require_columns(file.keys())
            present = [column for column in columns if column.name in file]
            count = min(len(file[column.name]) for column in present)
            for start in range(0, count, 2_000):
                yield from _hdf5_rows(file, present, start, min(count, start + 2_000))
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFile("This is no complete HDF5 file of labels: write it again.") from error


def _hdf5_rows(file: Any, columns: Sequence[Column], start: int, end: int) -> Iterator[Row]:
    texts = {"text", "texts"}
    parts = {
        column.name: (file[column.name].asstr()[start:end] if column.kind in texts else file[column.name][start:end])
        for column in columns
    }
    for number in range(end - start):
        yield {column.name: _hdf5_value(parts[column.name][number], column) for column in columns}


def _hdf5_value(value: Any, column: Column) -> Any:
    if column.kind == "texts":
        return _parsed(value, "A list in the file")
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def _require_columns(names: Iterable[str]) -> None:
    missing = [name for name in REQUIRED if name not in set(names)]
    if missing:
        raise refused_field(
            "file", f"The file has no column {' and no column '.join(missing)}: it needs at least feature and text."
        )


def _csv_value(cell: str, column: Column) -> Any:
    if column.kind == "texts":
        return _parsed(cell, "A list in the file") if cell.startswith("[") else tags_in(cell)
    if column.kind == "flag":
        return cell.strip().lower() in {"true", "1", "yes"}
    if column.kind == "text":
        return cell
    return cell.strip() or None


def _object(value: Any, where: str, columns: Sequence[Column]) -> Row:
    if not isinstance(value, dict):
        raise UnreadableFile(f"{where} is not an object with at least feature and text.")
    _require_columns(value)
    return {column.name: value[column.name] for column in columns if column.name in value}


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableFile(f"{where} is not complete JSON: the file is damaged or was cut off.") from None


def _lines(file: IO[str]) -> Iterator[str]:
    """Lines of bounded length: a file that is one endless line is refused before it fills the memory."""
    while line := file.readline(_LONGEST_ROW):
        if len(line) == _LONGEST_ROW:
            raise UnreadableFile(f"A line is longer than {_LONGEST_ROW:,} characters: write one label a line.")
        yield line


def _array_items(file: IO[str]) -> Iterator[Any]:
    decoder, text, is_open = json.JSONDecoder(), "", False
    while True:
        more = file.read(_READ_CHARACTERS)
        text = (text + more).lstrip()
        if not is_open and text:
            if not text.startswith("["):
                raise UnreadableFile("The file is not a JSON array of labels.")
            text, is_open = text[1:], True
        found, text, is_closed = _complete_items(decoder, text)
        yield from found
        if is_closed:
            return
        if not more or len(text) > _LONGEST_ROW:
            raise UnreadableFile("The JSON array is damaged or was cut off: write the file again.")


def _complete_items(decoder: json.JSONDecoder, text: str) -> tuple[list[Any], str, bool]:
    """The values that are complete in `text`, what is left of it, and whether the array has ended."""
    found: list[Any] = []
    while True:
        text = text.lstrip().removeprefix(",").lstrip()
        if text.startswith("]"):
            return found, "", True
        try:
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            return found, text, False
        if end == len(text) and not isinstance(value, dict | list | str):
            return found, text, False  # a number may go on in the next piece
        found.append(value)
        text = text[end:]
