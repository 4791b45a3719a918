"""Files are whole or absent, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.engine.artifacts import (
    ArtifactError,
    ExperimentFolder,
    replace_folder,
    sha256_of,
    verify_sha256,
    write_atomically,
    write_json,
)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, lambda partial: partial.write_text("first") and None)
    write_atomically(path, lambda partial: partial.write_text("second") and None)
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_knows_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    verify_sha256(path, sha256_of(path))
    verify_sha256(path, None)
    with pytest.raises(ArtifactError, match="damaged"):
        verify_sha256(path, "0" * 64)
    with pytest.raises(ArtifactError, match="missing"):
        verify_sha256(tmp_path / "other", None)


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    made, folder = tmp_path / "made", tmp_path / "folder"
    for path, text in ((made, "new"), (folder, "old")):
        path.mkdir()
        (path / text).write_text(text)
    replace_folder(made, folder)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert not made.exists()


def test_only_the_named_checkpoints_stay(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    folder.checkpoints.mkdir()
    for name in ("a.safetensors", "b.safetensors", "c.safetensors"):
        folder.checkpoint(name).touch()
    folder.keep_checkpoints("b.safetensors", "gone.safetensors")
    assert [path.name for path in folder.checkpoints.iterdir()] == ["b.safetensors"]
