"""Where the files of one experiment lie, and how they are written so that a crash leaves no half file. No torch."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ArtifactError(ValueError):
    """A file that is missing or is not what was written; the message is one sentence."""


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of one experiment. Properties are paths; nothing is created until something is written."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def sae_config(self) -> Path:
        return self.path / "sae.json"

    @property
    def imported(self) -> Path:
        """What came from another tool: its config, and its weights until ours are made of them."""
        return self.path / "imported"

    @property
    def quality(self) -> Path:
        return self.path / "quality.json"

    @property
    def feature_concepts(self) -> Path:
        return self.path / "feature_concepts.json"

    @property
    def index(self) -> Path:
        return self.path / "index"

    @property
    def features(self) -> Path:
        return self.index / "features.parquet"

    @property
    def activations(self) -> Path:
        return self.index / "activations.parquet"

    @property
    def tokens(self) -> Path:
        return self.index / "tokens.parquet"

    @property
    def documents(self) -> Path:
        return self.index / "documents.parquet"

    @property
    def vocabulary(self) -> Path:
        return self.index / "vocabulary.json"

    def feature_map(self, method: str) -> Path:
        """Where the features lie on the map of a method: x and y of each, little-endian uint16."""
        return self.path / "map" / f"{method}.u16"

    def checkpoint(self, name: str) -> Path:
        return self.checkpoints / name

    def newest_checkpoint_before(self, step: int) -> Path | None:
        """The kept checkpoint with the most steps, of those with fewer than `step`."""
        earlier = [path for path in self.checkpoints.glob("*.safetensors") if path.name < checkpoint_name(step)]
        return max(earlier, default=None)

    def keep_checkpoints(self, *names: str) -> None:
        """Deletes every checkpoint that is not among `names`."""
        for path in self.checkpoints.glob("*.safetensors"):
            if path.name not in names:
                path.unlink()


def checkpoint_name(step: int) -> str:
    return f"step-{step:09d}.safetensors"


def write_atomically(path: Path, writer: Callable[[Path], None]) -> None:
    """Lets `writer` fill a temporary file beside `path`, then moves it into place.

    Readers see the old file or the whole new one, also after a power cut: the file is synced before the move
    and its folder after it. When `writer` raises, the temporary file is removed and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        writer(partial)
        _sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


def replace_folder(made: Path, folder: Path) -> None:
    """Syncs the files of `made` and moves it to `folder`, in place of what was there."""
    for path in made.iterdir():
        _sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    made.rename(folder)
    _sync(folder.parent)


def write_json(path: Path, document: Any) -> None:
    """Writes `document` atomically as JSON. Raises ValueError for NaN or Infinity, which JSON does not have."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(path, lambda partial: _write_text(partial, text + "\n"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_sha256(path: Path, expected: str | None) -> None:
    """Raises ArtifactError when `path` is missing or, where a hash is known, has another one."""
    if not path.is_file():
        raise ArtifactError(f"The file {path.name} of this experiment is missing; start the experiment again.")
    if expected is not None and sha256_of(path) != expected:
        raise ArtifactError(f"The file {path.name} is damaged (its SHA-256 has changed); start the experiment again.")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
