"""The documents in a file: plain text, JSON lines, CSV or Parquet, read one at a time in bounded memory. No torch.

Each may be packed with gzip, as `stories.txt.gz`.

In a .txt file paragraphs (parts between blank lines) are gathered until a document has 2,000 characters; a text without
blank lines is cut at the first line end after 20,000. A line that holds only `<|endoftext|>` always ends a document.
In the other formats one row or line is one document: the text in one column, or a conversation (see `conversations`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from experiments.engine.artifacts import sha256_of
from experiments.engine.conversations import MESSAGES_COLUMN, conversation_text
from experiments.engine.corpus_errors import CorpusError, MissingColumn
from experiments.engine.gzip_files import GZIP, is_packed, open_bytes, open_seekable

LONGEST_LINE_BYTES = 10_000_000
PARAGRAPHS_CHARACTERS = 2_000
LINES_CHARACTERS = 20_000
TEXT_COLUMN = "text"
END_OF_DOCUMENT = "<|endoftext|>"
PREVIEW_DOCUMENTS = 3
PREVIEW_CHARACTERS = 400
PARQUET_BATCH_ROWS = 512

Row: TypeAlias = tuple[str, Any]


@dataclass(frozen=True)
class UploadReport:
    """What an uploaded file holds: counts, the hash of its bytes, the column read, the beginnings of its documents."""

    documents: int
    characters: int
    sha256: str
    column: str | None
    preview: tuple[str, ...]


def inspect_upload(path: Path, column: str | None = None, *, chat: bool = False) -> UploadReport:
    """Reads the whole file once. Raises CorpusError when it could not be used as a corpus."""
    documents = characters = 0
    preview: list[str] = []
    column = text_column(path, column, chat=chat)
    for document in read_documents(path, column, chat=chat):
        documents += 1
        characters += len(document)
        if len(preview) < PREVIEW_DOCUMENTS:
            preview.append(document[:PREVIEW_CHARACTERS])
    if not documents:
        raise CorpusError("The file holds no text.")
    return UploadReport(documents, characters, sha256_of(path), column, tuple(preview))


def read_documents(path: Path, column: str | None = None, *, chat: bool = False) -> Iterator[str]:
    """Yields the documents that are not blank; `column` names where a table keeps its text.

    Without a `column` that is the one called "text" (of conversations "messages"), or else the only column there is.
    Raises CorpusError for another kind of file, a missing column, text that is not UTF-8, NUL characters, half
    surrogate pairs and overlong lines.
    """
    return (text for text in read_texts(path, column, chat=chat) if text.strip())


def read_texts(path: Path, column: str | None = None, *, chat: bool = False) -> Iterator[str]:
    """As `read_documents`, with the blank ones, so that a row's number says where to go on."""
    for place, value in _format_of(path).rows(path, text_column(path, column, chat=chat)):
        text = conversation_text(value, place) if chat else _plain_text(value, place)
        _check_characters(text, place)
        yield text


def text_column(path: Path, column: str | None, *, chat: bool = False) -> str | None:
    """The column that holds the text of the table in `path`, or None for a .txt file. Raises CorpusError."""
    columns = _format_of(path).columns
    if columns is None and chat:
        raise CorpusError("Plain text holds no conversations; use .jsonl or .parquet with a column of messages.")
    return None if columns is None else choose_column(columns(path), column, chat=chat)


def choose_column(columns: Sequence[str], column: str | None, *, chat: bool = False) -> str:
    """`column`, or without one the usual or only one of `columns`. Raises CorpusError that names those there are."""
    if column is None and len(columns) == 1:
        return columns[0]
    wanted = column or (MESSAGES_COLUMN if chat else TEXT_COLUMN)
    if wanted in columns:
        return wanted
    there = ", ".join(columns[:20]) or "none"
    raise MissingColumn(f"There is no column “{wanted}”; the columns are: {there}.")


def ending_of(path: Path) -> str:
    """How the name of a corpus file ends, in lower case, such as ".txt" or ".jsonl.gz". Raises CorpusError."""
    inner = Path(path.stem) if is_packed(path) else path
    ending = inner.suffix.lower()
    if ending not in _FORMATS:
        raise CorpusError(f"A corpus is a file that ends in {', '.join(_FORMATS)}, or in one of these and {GZIP}.")
    return ending + (GZIP if is_packed(path) else "")


@dataclass(frozen=True)
class _Format:
    """How one kind of file is read: its rows as (place for messages, text), and its columns if it has any."""

    rows: Callable[[Path, str | None], Iterator[Row]]
    columns: Callable[[Path], Sequence[str]] | None = None


def _format_of(path: Path) -> _Format:
    return _FORMATS[ending_of(path).removesuffix(GZIP)]


def _plain_text(value: Any, place: str) -> str:
    if value is not None and not isinstance(value, str):
        raise CorpusError(f"{place} holds {type(value).__name__} values where text is expected.")
    return value or ""


def _check_characters(text: str, place: str) -> None:
    if "\0" in text:
        raise CorpusError(f"{place} holds a NUL character, so this looks like a binary file and not like text.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CorpusError(f"{place} holds half of a surrogate pair, which is no character; save it as UTF-8.") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their line end as "\\n", counted from 1."""
    with open_bytes(path) as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE_BYTES + 1):
            number += 1
            if len(line) > LONGEST_LINE_BYTES:
                raise CorpusError(f"Line {number:,} is longer than {LONGEST_LINE_BYTES:,} bytes; break it into lines.")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise CorpusError(f"Line {number:,} is not UTF-8 text; save the file as UTF-8.") from None
            yield number, text.replace("\r\n", "\n")


def _text_rows(path: Path, _: str | None) -> Iterator[Row]:
    lines: list[str] = []
    first = size = 0
    for number, line in _lines(path):
        ends_here = line.strip() == END_OF_DOCUMENT
        if not ends_here:
            first = first if lines else number
            lines.append(line)
            size += len(line)
            blank = not line.strip()
            ends_here = size >= (PARAGRAPHS_CHARACTERS if blank else LINES_CHARACTERS)
        if ends_here:
            yield f"The text from line {first:,} on", "".join(lines).strip()
            lines, size = [], 0
    if lines:
        yield f"The text from line {first:,} on", "".join(lines).strip()


def _json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise CorpusError(f"Line {number:,} is not JSON; each line must be one object.") from None
        if not isinstance(value, dict):
            raise CorpusError(f"Line {number:,} is not a JSON object with named fields.")
        yield number, value


def _json_columns(path: Path) -> Sequence[str]:
    return next((list(value) for _, value in _json_objects(path)), [])


def _json_rows(path: Path, column: str | None) -> Iterator[Row]:
    for number, value in _json_objects(path):
        yield f"Line {number:,}", value.get(column or "")


def _csv_records(path: Path) -> Iterator[tuple[str, list[str]]]:
    csv.field_size_limit(LONGEST_LINE_BYTES)
    records = csv.reader((line for _, line in _lines(path)), strict=True)
    try:
        for record in records:
            yield f"The row that ends on line {records.line_num:,}", record
    except csv.Error as error:
        raise CorpusError(f"The row near line {records.line_num:,} is not valid CSV ({error}).") from None


def _csv_columns(path: Path) -> Sequence[str]:
    return next((record for _, record in _csv_records(path)), [])


def _csv_rows(path: Path, column: str | None) -> Iterator[Row]:
    records = _csv_records(path)
    position = next(records)[1].index(column or "")
    for place, record in records:
        if record:
            yield place, record[position] if position < len(record) else None


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    # Imported here: only Parquet needs it, and the web process should start without it.
    from pyarrow import ArrowException, parquet  # noqa: PLC0415

    with open_seekable(path) as stream:
        try:
            table = parquet.ParquetFile(stream)
        except (ArrowException, OSError):
            raise CorpusError("The file is not a readable Parquet file.") from None
        yield table


def _parquet_columns(path: Path) -> Sequence[str]:
    with _parquet_file(path) as table:
        return [str(name) for name in table.schema_arrow.names]


def _parquet_rows(path: Path, column: str | None) -> Iterator[Row]:
    from pyarrow import ArrowException  # noqa: PLC0415 - as above

    number = 0
    with _parquet_file(path) as table:
        try:
            for batch in table.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=[column]):
                for value in batch.column(0):
                    number += 1
                    yield f"Row {number:,}", value.as_py()
        except (ArrowException, OSError, UnicodeDecodeError):
            raise CorpusError(f"The Parquet file cannot be read after row {number:,}.") from None


_FORMATS = {
    ".txt": _Format(_text_rows),
    ".jsonl": _Format(_json_rows, _json_columns),
    ".csv": _Format(_csv_rows, _csv_columns),
    ".parquet": _Format(_parquet_rows, _parquet_columns),
}
ENDINGS = (*_FORMATS, *(ending + GZIP for ending in _FORMATS))
