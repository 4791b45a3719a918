"""A large file is hashed once, and any change of it is noticed."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from experiments.engine import file_hashes
from experiments.engine.artifacts import sha256_of
from experiments.engine.file_hashes import FileHashes


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read to be hashed; all of them count as settled."""
    names: list[str] = []
    monkeypatch.setattr(file_hashes, "sha256_of", lambda path: names.append(path.name) or sha256_of(path))
    monkeypatch.setattr(file_hashes, "SETTLED_SECONDS", -1.0)
    return names


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def hash_of(path: Path) -> str:
    return FileHashes(path.parent / "hashes.json").sha256(path)


def test_a_file_that_nobody_touched_is_read_once(weights: Path, read: list[str]) -> None:
    assert {hash_of(weights) for _ in range(3)} == {sha256(b"weights").hexdigest()}
    assert read == ["model.safetensors"]
    (weights.parent / "link").symlink_to(weights)
    assert hash_of(weights.parent / "link") == hash_of(weights)
    assert len(read) == 1


def test_a_change_of_the_same_size_and_time_is_noticed(weights: Path, read: list[str]) -> None:
    before = weights.stat()
    hash_of(weights)
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.stat().st_mtime_ns == before.st_mtime_ns
    assert hash_of(weights) == sha256(b"WEIGHTS").hexdigest()


def test_another_file_in_its_place_is_noticed(weights: Path, read: list[str]) -> None:
    before = weights.stat()
    hash_of(weights)
    other = weights.with_name("other")
    other.write_bytes(b"another")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(weights)
    assert hash_of(weights) == sha256(b"another").hexdigest()


def test_a_file_that_was_written_just_now_is_not_remembered(
    weights: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "SETTLED_SECONDS", 3600.0)
    hash_of(weights)
    hash_of(weights)
    assert len(read) == 2


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x": 3}'])
def test_a_damaged_memory_is_an_empty_one(weights: Path, read: list[str], text: str) -> None:
    (weights.parent / "hashes.json").write_text(text)
    assert hash_of(weights) == hash_of(weights) == sha256(b"weights").hexdigest()
    assert len(read) == 1


def test_files_that_are_gone_are_forgotten(weights: Path, read: list[str]) -> None:
    gone = weights.with_name("gone")
    gone.write_bytes(b"gone")
    hash_of(gone)
    gone.unlink()
    hash_of(weights)
    assert list(json.loads((weights.parent / "hashes.json").read_text())) == [str(weights)]
