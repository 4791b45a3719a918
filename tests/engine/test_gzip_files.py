"""Corpora packed with gzip: the same documents as unpacked, and a sentence for damage and for bombs."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from experiments.engine import gzip_files
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.documents import ENDINGS, inspect_upload, read_documents

TEXTS = [f"Story {number}: once upon a time.\nThe end." for number in range(2_000)]


def packed(path: Path) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


def plain(folder: Path, ending: str) -> Path:
    path = folder / f"stories{ending}"
    if ending == ".txt":
        path.write_text("\n<|endoftext|>\n".join(TEXTS))
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    elif ending == ".csv":
        path.write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS))
    else:
        parquet.write_table(pa.table({"text": TEXTS}), path)
    return path


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv", ".parquet"])
def test_packed_files_hold_the_same_documents(tmp_path: Path, ending: str) -> None:
    path = plain(tmp_path, ending)
    unpacked, report = inspect_upload(path), inspect_upload(packed(path))
    assert list(read_documents(packed(path))) == TEXTS
    assert (report.documents, report.characters) == (unpacked.documents, unpacked.characters)
    assert report.sha256 != unpacked.sha256  # the hash is that of the file as it was uploaded
    assert {path.name for path in tmp_path.iterdir()} == {f"stories{ending}", f"stories{ending}.gz"}
    assert f"{ending}.gz" in ENDINGS


def test_ending_in_capitals_is_packed_too(tmp_path: Path) -> None:
    path = tmp_path / "A.TXT.GZ"
    path.write_bytes(gzip.compress(b"One"))
    assert list(read_documents(path)) == ["One"]


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv", ".parquet"])
def test_file_that_was_cut_off_is_said_so(tmp_path: Path, ending: str) -> None:
    path = packed(plain(tmp_path, ending))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match="ends in the middle"):
        inspect_upload(path)


@pytest.mark.parametrize("content", [b"no gzip at all", b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 40])
def test_file_that_is_no_gzip_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt.gz").write_bytes(content)
    with pytest.raises(CorpusError, match="not a readable gzip file"):
        inspect_upload(tmp_path / "a.txt.gz")


def test_changed_byte_is_found(tmp_path: Path) -> None:
    path = packed(plain(tmp_path, ".txt"))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="not a readable gzip file"):
        inspect_upload(path)


@pytest.mark.parametrize("ending", [".txt", ".parquet"])
def test_bomb_is_refused_before_it_has_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(gzip_files, "SMALL_BYTES", 2**20)
    path = tmp_path / f"bomb{ending}.gz"
    packer = zlib.compressobj(9, wbits=31)
    path.write_bytes(b"".join(packer.compress(b"blank \n" * 2**17) for _ in range(20)) + packer.flush())
    with pytest.raises(CorpusError, match="unpacks to more than"):
        inspect_upload(path)
    assert list(tmp_path.iterdir()) == [path]


def test_size_is_bounded_whatever_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_files, "LARGEST_UNPACKED_BYTES", 10_000)
    with pytest.raises(CorpusError, match="unpacks to more than"):
        inspect_upload(packed(plain(tmp_path, ".jsonl")))
