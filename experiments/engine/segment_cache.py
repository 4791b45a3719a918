"""Captured segments on disk, shared by epochs and by experiments: a folder for each stream of hidden states. No torch.

The name of a stream's folder is a hash of all that determines its hidden states, so what is found under it is what a
capture would give. A manifest says in words what it is and who used it. The whole has a quota; the segments that were
not used for the longest time make room, but never those of a stream that some process has open: an experiment that is
larger than the quota keeps the segments that fit instead of chasing them round.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from experiments.engine.artifacts import write_atomically, write_json
from experiments.engine.file_hashes import FileHashes

LAYOUT_VERSION = 1
SEGMENTS = "segments"  # the folder below that of all caches
MANIFEST, LOCK, FILES = "manifest.json", "lock", "segment-*.safetensors"
HASHES = "hashes.json"
WEIGHT_FILES = ("*.safetensors", "*.bin", "config.json")


@dataclass(frozen=True)
class Stream:
    """All that determines a stream of hidden states.

    `weights` is the commit of a hub model or the hash of a local one's files, `windows` the name of the cached windows,
    `places` are (layer, site) of what is read and of what a transcoder reconstructs, `computed` is the compute path:
    another machine or number of threads may give other last bits.
    """

    model: str
    weights: str
    dtype: str
    places: tuple[tuple[int, str], ...]
    corpus: str
    windows: str
    context_length: int
    segment_tokens: int
    order_seed: int
    computed: str

    @property
    def key(self) -> str:
        described = {"layout": LAYOUT_VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class CachedStream:
    """What is kept of one stream: its description, who used it (experiment -> seconds since 1970), and its size."""

    key: str
    described: dict[str, Any]
    used_by: dict[str, float]
    segments: int
    size_bytes: int
    last_used: float
    is_open: bool


class SegmentCache:
    """The cache below `folder`. A quota of zero keeps nothing."""

    def __init__(self, folder: Path, quota_bytes: int = 0) -> None:
        self.folder, self.quota_bytes = folder, quota_bytes

    @property
    def hashes(self) -> FileHashes:
        """The hashes of the files of local models, which are in the names of their streams."""
        return FileHashes(self.folder / HASHES)

    @contextmanager
    def opened(self, stream: Stream, users: Sequence[str]) -> Iterator[Path]:
        """The folder of a stream, with `users` in its manifest; nobody takes it away while the context is open."""
        folder = self.folder / stream.key
        with self._alone():
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            used_by = {**_manifest(folder).get("used_by", {}), **dict.fromkeys(users, time.time())}
            write_json(folder / MANIFEST, {"described": asdict(stream), "used_by": used_by})
        with lock:
            yield folder

    def keep(self, path: Path, size_bytes: int, writer: Callable[[Path], None]) -> bool:
        """Writes a segment unless there is no room for it that may be made; says whether it is kept."""
        with self._alone():
            if not self._make_room(size_bytes):
                return False
            write_atomically(path, writer)
        return True

    def streams(self) -> list[CachedStream]:
        """What is kept, the one used last first."""
        found = [_described(folder) for folder in self._folders()]
        return sorted(found, key=lambda stream: -stream.last_used)

    def delete(self, key: str) -> bool:
        """Removes a stream; False when some process has it open. Raises KeyError for a key that is not there."""
        folder = next((folder for folder in self._folders() if folder.name == key), None)
        if folder is None:
            raise KeyError(key)
        with self._alone():
            if _is_open(folder):
                return False
            shutil.rmtree(folder)
        return True

    def _folders(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob(f"*/{MANIFEST}"))

    def _make_room(self, size_bytes: int) -> bool:
        if size_bytes > self.quota_bytes:
            return False
        for half_written in self.folder.glob("*/.segment-*.partial"):  # whoever writes is alone, so nobody does
            half_written.unlink()
        segments = list(self.folder.glob(f"*/{FILES}"))
        taken = sum(path.stat().st_size for path in segments)
        is_open = {folder: _is_open(folder) for folder in {path.parent for path in segments}}
        evictable = sorted((path for path in segments if not is_open[path.parent]), key=_last_used)
        for path in evictable:
            if taken + size_bytes <= self.quota_bytes:
                break
            taken -= path.stat().st_size
            path.unlink()
        return taken + size_bytes <= self.quota_bytes

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time changes what is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def segment_path(folder: Path, segment: int) -> Path:
    return folder / f"segment-{segment:06d}.safetensors"


def mark_used(path: Path) -> None:
    """The time of a file is when it was last used."""
    with suppress(FileNotFoundError):
        os.utime(path)


def weights_hash(folder: Path, known: FileHashes) -> str:
    """A hash of the files that hold the weights of a local model, and of its configuration."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in WEIGHT_FILES for path in folder.glob(pattern)):
        found.update(f"{path.name}:{known.sha256(path)};".encode())
    return found.hexdigest()


def _described(folder: Path) -> CachedStream:
    manifest, segments = _manifest(folder), [path for path in folder.glob(FILES) if path.exists()]
    used_by: dict[str, float] = manifest.get("used_by", {})
    return CachedStream(
        key=folder.name,
        described=manifest.get("described", {}),
        used_by=used_by,
        segments=len(segments),
        size_bytes=sum(path.stat().st_size for path in segments),
        last_used=max([*map(_last_used, segments), *used_by.values()], default=0.0),
        is_open=_is_open(folder),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _last_used(path: Path) -> float:
    return path.stat().st_mtime


def _is_open(folder: Path) -> bool:
    """Whether some process holds the stream's lock; the system lets go of it when a process ends, however it ends."""
    try:
        lock: IO[str] = (folder / LOCK).open("a")
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
