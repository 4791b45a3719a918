"""Segments of hidden states that come from the cache where it has them, and go there where it has room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from experiments.engine.capture import ROWS_AT_ONCE, HiddenStates, Reading
from experiments.engine.compute_path import compute_path
from experiments.engine.config import Place
from experiments.engine.job import Job
from experiments.engine.language_model import LanguageModel
from experiments.engine.segment_cache import SEGMENTS, SegmentCache, Stream, mark_used, segment_path, weights_hash

STATES, POSITIONS = "states", "positions"


class CachedSegments:
    """The cached segments of the streams that some readings of one corpus by one model are."""

    def __init__(self, cache: SegmentCache, folders: dict[tuple[Place, ...], Path], device: torch.device) -> None:
        self._cache, self._folders, self._device = cache, folders, device

    def find(self, reading: Reading, segment: int) -> HiddenStates | None:
        """A segment as a capture would give it; None when it is not there, cannot be read, or has another limit."""
        path = segment_path(self._folders[reading.places], segment)
        try:
            with safe_open(path, framework="pt") as file:
                found = self._read(file, reading)
        except (OSError, SafetensorError):
            return None
        if found is not None:
            mark_used(path)
        return found

    def keep(self, reading: Reading, segment: int, found: HiddenStates) -> None:
        """Keeps a segment that was captured for `reading`, where there is room."""
        tensors = {f"{STATES}.{number}": states for number, states in enumerate((found.states, *found.further))}
        tensors[POSITIONS] = torch.from_numpy(found.positions)
        metadata = {
            "outliers_left_out": str(found.outliers_left_out),
            "norm_limit": found.norm_limit.hex(),
            "has_own_limit": str(reading.norm_limit is None),
        }

        def write(path: Path) -> None:
            save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)

        size = sum(tensor.nbytes for tensor in tensors.values())
        self._cache.keep(segment_path(self._folders[reading.places], segment), size, write)

    def _read(self, file: Any, reading: Reading) -> HiddenStates | None:
        facts = file.metadata()
        limit = float.fromhex(facts["norm_limit"])
        fits = facts["has_own_limit"] == "True" if reading.norm_limit is None else limit == reading.norm_limit
        if not fits:
            return None
        states, *further = (self._tensor(file, f"{STATES}.{number}") for number in range(len(reading.places)))
        positions = file.get_tensor(POSITIONS).numpy()
        return HiddenStates(states, positions, int(facts["outliers_left_out"]), limit, tuple(further))

    def _tensor(self, file: Any, name: str) -> Tensor:
        """Read in parts into memory that torch made itself: nothing is held twice, and all is aligned as ever."""
        stored = file.get_slice(name)
        rows, width = stored.get_shape()
        tensor = torch.empty(rows, width, device=self._device)
        for start in range(0, rows, ROWS_AT_ONCE):
            tensor[start : start + ROWS_AT_ONCE] = stored[start : start + ROWS_AT_ONCE]
        return tensor


@contextmanager
def kept_segments(
    jobs: Sequence[Job], model: LanguageModel, windows_key: str, readings: Sequence[Reading]
) -> Iterator[CachedSegments | None]:
    """The cached segments of `readings`, open while the context is; None when no job keeps hidden states.

    The `jobs` read the same text side by side.
    """
    keeping = [job for job in jobs if job.config.cache_hidden_states and job.cache_quota_bytes]
    if not keeping:
        yield None
        return
    cache = SegmentCache(keeping[0].cache_folder / SEGMENTS, keeping[0].cache_quota_bytes)
    stream, users = _stream_of(keeping[0], model, windows_key, cache), [job.user for job in keeping]
    with ExitStack() as stack:
        folders = {}
        for places in dict.fromkeys(reading.places for reading in readings):
            named = replace(stream, places=tuple((place.layer, place.site) for place in places))
            folders[places] = stack.enter_context(cache.opened(named, users))
        yield CachedSegments(cache, folders, model.device)


def _stream_of(job: Job, model: LanguageModel, windows_key: str, cache: SegmentCache) -> Stream:
    """The stream, whose places are still to be said; reads the files of a local model that are not known."""
    config = job.config
    return Stream(
        model=config.model.canonical,
        weights=model.revision or weights_hash(Path(job.model_path), cache.hashes),
        dtype=config.model.dtype,
        places=(),
        corpus=config.corpus.name,
        windows=windows_key,
        context_length=config.context_length,
        segment_tokens=config.training.segment_tokens,
        order_seed=config.order_seed,
        computed=compute_path(str(model.device)),
    )
