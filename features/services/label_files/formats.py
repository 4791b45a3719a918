"""The formats: their ending, media type, writer and reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.services.label_files import reading, writing
from features.services.label_files.columns import Column, Row
from features.services.label_files.reading import Reader, UnreadableFile
from features.services.label_files.writing import Writer
from latentlens.lib.problems import refused_field


@dataclass(frozen=True)
class Format:
    name: str
    title: str
    media_type: str
    write: Writer
    reader: Reader

    def read(self, path: Path, columns: Sequence[Column]) -> Iterator[Row]:
        """The rows of a file. Raises `UnreadableFile`, or `Refused` for a file without the columns that it needs."""
        try:
            yield from self.reader(path, columns)
        except UnicodeDecodeError:
            raise UnreadableFile("The file is not UTF-8 text: save it as UTF-8.") from None


FORMATS = {
    format.name: format
    for format in (
        Format("csv", "CSV", "text/csv; charset=utf-8", writing.write_csv, reading.read_csv),
        Format("json", "JSON", "application/json", writing.write_json, reading.read_json),
        Format("jsonl", "JSON Lines", "application/x-ndjson", writing.write_jsonl, reading.read_jsonl),
        Format("parquet", "Parquet", "application/vnd.apache.parquet", writing.write_parquet, reading.read_parquet),
        Format("h5", "HDF5", "application/x-hdf5", writing.write_hdf5, reading.read_hdf5),
    )
}
_OTHER_ENDINGS = {"hdf5": "h5", "ndjson": "jsonl"}


def format_named(name: str) -> Format:
    """Raises `Refused`."""
    if name not in FORMATS:
        raise refused_field("format", f"There is no format “{name[:20]}”: take one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_of(filename: str) -> Format:
    """The format that the ending of a name says. Raises `Refused`."""
    ending = Path(filename).suffix.lower().removeprefix(".")
    name = _OTHER_ENDINGS.get(ending, ending)
    if name not in FORMATS:
        endings = ", ".join(f".{ending}" for ending in FORMATS)
        raise refused_field("file", f"Labels are read from {endings} files, not from “{Path(filename).name[:80]}”.")
    return FORMATS[name]
