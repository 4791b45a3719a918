"""What experiments keep on disk for each other: hidden states and token windows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from experiments.engine.config import SITES
from experiments.engine.segment_cache import SEGMENTS, CachedStream, SegmentCache
from experiments.models import Experiment
from experiments.services.folders import cache_folder
from latentlens.lib.problems import Conflict, NotFound

# As the engine's `corpus` calls them; that module needs what web processes do not have.
WINDOWS, WINDOWS_MANIFEST = "windows", "windows.json"


@dataclass(frozen=True)
class CacheEntry:
    """One stream of hidden states, or the windows of one corpus; `users` are the experiments that still exist."""

    key: str
    kind: str
    title: str
    size_bytes: int
    users: Sequence[Experiment]
    last_used: datetime
    in_use: bool

    @property
    def experiments(self) -> list[int]:
        return [experiment.pk for experiment in self.users]


@dataclass(frozen=True)
class CacheState:
    """All entries, the one used last first. The quota is that of hidden states; windows are small."""

    entries: Sequence[CacheEntry]
    quota_bytes: int

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def hidden_state_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries if entry.kind == "hidden states")


def cache_state() -> CacheState:
    streams = _segment_cache().streams()
    ids = {int(user) for stream in streams for user in stream.used_by if user.isdecimal()}
    experiments = Experiment.objects.in_bulk(ids)
    busy = _is_anything_running()
    entries = [
        *(_of_stream(stream, experiments) for stream in streams),
        *(_of_windows(folder, busy) for folder in _window_folders()),
    ]
    return CacheState(sorted(entries, key=lambda entry: entry.last_used, reverse=True), _quota_bytes())


def delete_entry(key: str) -> None:
    """Removes what has this key among what is there. Raises NotFound, and Conflict while it is in use."""
    windows = next((folder for folder in _window_folders() if folder.name == key), None)
    if windows is not None:
        if _is_anything_running():
            raise Conflict("An experiment is running, which may be reading these windows: delete them later.")
        shutil.rmtree(windows)
        return
    try:
        deleted = _segment_cache().delete(key)
    except KeyError:
        raise NotFound("There is no such entry in the cache.") from None
    if not deleted:
        raise Conflict("A running experiment uses these hidden states: delete them later.")


def _segment_cache() -> SegmentCache:
    return SegmentCache(cache_folder() / SEGMENTS, _quota_bytes())


def _quota_bytes() -> int:
    return int(settings.CACHE_QUOTA_GB * 1e9)


def _window_folders() -> list[Path]:
    return sorted(path.parent for path in (cache_folder() / WINDOWS).glob(f"[!.]*/{WINDOWS_MANIFEST}"))


def _is_anything_running() -> bool:
    return Experiment.objects.filter(status=Experiment.Status.RUNNING).exists()


def _of_stream(stream: CachedStream, experiments: dict[int, Experiment]) -> CacheEntry:
    told = stream.described
    places = ", ".join(
        f"layer {layer}, {SITES[site].title if site in SITES else site}" for layer, site in told["places"]
    )
    users = [experiments[int(user)] for user in stream.used_by if user.isdecimal() and int(user) in experiments]
    title = f"{told['model']} · {places} · {told['corpus']} · windows of {told['context_length']}"
    last_used = datetime.fromtimestamp(stream.last_used, UTC)
    return CacheEntry(stream.key, "hidden states", title, stream.size_bytes, users, last_used, stream.is_open)


def _of_windows(folder: Path, busy: bool) -> CacheEntry:
    manifest = folder / WINDOWS_MANIFEST
    documents = json.loads(manifest.read_text(encoding="utf-8")).get("read", {}).get("documents", {})
    count = sum(documents.values()) if isinstance(documents, dict) else 0
    title = f"{count:,} documents as tokens" if count else "A corpus as tokens"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    last_used = datetime.fromtimestamp(manifest.stat().st_mtime, UTC)
    return CacheEntry(folder.name, "token windows", title, size, (), last_used, busy)
