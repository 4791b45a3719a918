"""Rows into a file of each format, a batch at a time, so that memory stays bounded whatever their number."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from features.services.label_files.columns import Column, Row
from latentlens.lib.csv_cells import safe_cell

ROWS_AT_ONCE = 2_000

Writer = Callable[[Path, Sequence[Column], Iterable[Row]], None]


def write_csv(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Formula-safe; lists are JSON; what is not said is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        for row in rows:
            writer.writerow([safe_cell(_csv_cell(row[column.name], column)) for column in columns])


def write_jsonl(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """One object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _json_lines(columns, rows))


def write_json(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """One array of objects, one object a line."""
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        for line in _json_lines(columns, rows):
            file.write(f"{separator}{line}")
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def write_parquet(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """A column for each, lists as lists; zstd."""
    import pyarrow as pa  # noqa: PLC0415 - the web process starts without it
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in _chunks(rows):
            writer.write_batch(pa.RecordBatch.from_pylist(chunk, schema=schema))


def write_hdf5(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """A resizable data set for each column; texts are UTF-8, lists are JSON, a number that is not said is NaN."""
    import h5py  # noqa: PLC0415 - the web process starts without it

    text = h5py.string_dtype("utf-8")
    types: dict[str, Any] = {"integer": "int64", "number": "float64", "flag": "bool", "text": text, "texts": text}
    with h5py.File(path, "w") as file:
        sets = {
            column.name: file.create_dataset(
                column.name, (0,), types[column.kind], maxshape=(None,), chunks=(ROWS_AT_ONCE,), compression="gzip"
            )
            for column in columns
        }
        written = 0
        for chunk in _chunks(rows):
            for column in columns:
                values = [_hdf5_cell(row[column.name], column) for row in chunk]
                sets[column.name].resize((written + len(chunk),))
                sets[column.name][written:] = values
            written += len(chunk)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, ROWS_AT_ONCE)):
        yield chunk


def _json_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    names = [column.name for column in columns]
    return (json.dumps({name: row[name] for name in names}, ensure_ascii=False) for row in rows)


def _csv_cell(value: Any, column: Column) -> Any:
    if column.kind == "texts":
        return json.dumps(value, ensure_ascii=False) if value else ""
    if column.kind == "flag":
        return "true" if value else "false"
    return "" if value is None else value


def _hdf5_cell(value: Any, column: Column) -> Any:
    if column.kind == "texts":
        return json.dumps(value, ensure_ascii=False)
    return float("nan") if value is None else value
