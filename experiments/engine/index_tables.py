"""The Parquet files of the activation index: their columns, and the tables that follow from the windows. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.engine.windows import NO_DOCUMENT, Windows

# Row groups are what a reader can skip: small enough that one feature's examples cost milliseconds, and so large that
# reading where they lie costs little.
ROWS_IN_GROUP = 2**17

# How columns are written, where Parquet's dictionary is not best: numbers that are equal, count on or are spread evenly
# as differences; floats byte by byte, so that the upper bytes, which change little in a sorted stretch, are compressed.
_ENCODINGS = {
    "feature": "DELTA_BINARY_PACKED",
    "position": "DELTA_BINARY_PACKED",
    "window": "DELTA_BINARY_PACKED",
    "document": "DELTA_BINARY_PACKED",
    "activation": "BYTE_STREAM_SPLIT",
}

ACTIVATIONS = pa.schema([("feature", pa.int32()), ("position", pa.int64()), ("activation", pa.float32())])
TOKENS = pa.schema(
    [
        ("position", pa.int64()),
        ("window", pa.int32()),
        ("document", pa.int32()),
        ("token", pa.int32()),
        ("read", pa.bool_()),
    ]
)
DOCUMENTS = pa.schema([("document", pa.int32()), ("start", pa.int64()), ("tokens", pa.int32()), ("kind", pa.string())])

_TOKEN_LOGIT = pa.struct([("token", pa.int32()), ("text", pa.string()), ("logit", pa.float32())])
_TOP_TOKEN = pa.struct(
    [
        ("token", pa.int32()),
        ("text", pa.string()),
        ("firings", pa.int64()),
        ("share", pa.float64()),
        ("occurrences", pa.int64()),
    ]
)
_NEAR = pa.list_(pa.struct([("index", pa.int32()), ("cosine", pa.float32())]))
_INPUT = pa.struct([("dimension", pa.int32()), ("weight", pa.float32()), ("share", pa.float32())])
_HISTOGRAM = pa.struct([("edges", pa.list_(pa.float64())), ("counts", pa.list_(pa.int64()))])
_CONCEPT = pa.struct(
    [("name", pa.string()), ("precision", pa.float64()), ("recall", pa.float64()), ("f1", pa.float64())]
)
FEATURES = pa.schema(
    [
        ("index", pa.int32()),
        ("tokens", pa.int64()),
        ("firings", pa.int64()),
        ("documents", pa.int64()),
        ("density", pa.float64()),
        ("max_activation", pa.float32()),
        ("mean_activation", pa.float32()),
        ("histogram", _HISTOGRAM),
        ("quantiles", pa.list_(pa.struct([("share", pa.float64()), ("activation", pa.float32())]))),
        ("top_tokens", pa.list_(_TOP_TOKEN)),
        ("promoted", pa.list_(_TOKEN_LOGIT)),
        ("suppressed", pa.list_(_TOKEN_LOGIT)),
        ("logit_histogram", _HISTOGRAM),
        ("nearest", _NEAR),
        ("nearest_by_encoder", _NEAR),
        ("inputs", pa.list_(_INPUT)),
        ("concept", _CONCEPT),
    ]
)


class TableWriter:
    """A Parquet file that grows table by table. A context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        encodings = {name: encoding for name, encoding in _ENCODINGS.items() if name in schema.names}
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in schema.names if name not in encodings],
            column_encoding=encodings,
        )

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add_columns(self, *columns: NDArray[Any]) -> None:
        """Appends columns of equal length, in the order of the schema."""
        self._writer.write_table(pa.table(list(columns), schema=self._schema), row_group_size=ROWS_IN_GROUP)

    def add_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Appends rows given by column name."""
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._schema), row_group_size=ROWS_IN_GROUP)


def write_tokens(windows: Windows, read: NDArray[np.bool_], path: Path) -> None:
    """Every token of the windows, special ones and padding too; `position` counts on through all windows.

    `read` says of every position whether the SAE has read it.
    """
    count, context_length = windows.tokens.shape
    at_once = max(1, ROWS_IN_GROUP // context_length)
    with TableWriter(path, TOKENS) as table:
        for start in range(0, count, at_once):
            part = windows[start : start + at_once]
            positions = np.arange(start * context_length, (start + len(part)) * context_length)
            numbers = np.repeat(np.arange(start, start + len(part), dtype=np.int32), context_length)
            table.add_columns(positions, numbers, part.documents.ravel(), part.tokens.ravel(), read[positions])


def write_documents(windows: Windows, kinds: Sequence[str], path: Path) -> None:
    """Where each document begins and how many tokens it has in the windows, with its kind where that is known."""
    documents, starts, tokens = np.unique(windows.documents, return_index=True, return_counts=True)
    known = documents != NO_DOCUMENT
    documents, starts, tokens = documents[known], starts[known], tokens[known]
    names = [kinds[document] if document < len(kinds) else None for document in documents.tolist()]
    with TableWriter(path, DOCUMENTS) as table:
        table.add_columns(documents, starts, tokens.astype(np.int32), pa.array(names, pa.string()))
