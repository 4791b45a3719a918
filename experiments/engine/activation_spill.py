"""Sorting more activations than fit into memory, in parts on disk that outlive a killed process.

The text is read part by part. A part keeps its activations sorted by feature; when the whole text has been read, the
stretches of a range of features are taken from all parts and sorted by falling activation. Memory is bounded by a part
and by a range (or the most frequent feature), not by the harvest. No torch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import replace_folder
from experiments.engine.config import ACTIVATIONS_AT_ONCE

# A part ends with the batch that brings it to ACTIVATIONS_AT_ONCE or so many tokens: what a killed process loses.
PART_TOKENS = 2**20
# With the activations of a range in 21 bits and an activation in 31, so many features fit into a key of 64 bits.
MOST_FEATURES = 2**12
HEADER_BYTES = 128  # of a .npy file
ACTIVATION_BITS = 31  # of a float32 that is not negative

_NAME = re.compile(r"part-(\d+)-(\d+)")


@dataclass(frozen=True)
class SortedActivations:
    """Activations of the features first <= feature < stop, sorted by feature and then by falling activation."""

    first: int
    stop: int
    features: NDArray[np.int32]
    positions: NDArray[np.int64]
    activations: NDArray[np.float32]

    def starts(self) -> NDArray[np.int64]:
        """Where each feature's activations begin, and at the end where the last one's end: [stop - first + 1]."""
        return np.searchsorted(self.features, np.arange(self.first, self.stop + 1))


@dataclass(frozen=True)
class Part:
    """The activations of the windows first <= window < stop; its arrays are mapped from its folder."""

    folder: Path
    first: int
    stop: int

    @cached_property
    def read(self) -> NDArray[np.int64]:
        """The position of every token that the SAE read, rising: [tokens]."""
        return self._array("read")

    @cached_property
    def feature_starts(self) -> NDArray[np.int64]:
        """Where the activations of each feature begin in the other two arrays: [features + 1]."""
        return self._array("feature_starts")

    @cached_property
    def rows(self) -> NDArray[np.uint32]:
        """The row in `read` of every activation, by feature and then in the order of the text: [activations]."""
        return self._array("rows")

    @cached_property
    def activations(self) -> NDArray[np.float32]:
        """In the same order: [activations]."""
        return self._array("activations")

    def _array(self, name: str) -> NDArray[Any]:
        path = self.folder / f"{name}.npy"
        has_rows = path.stat().st_size > HEADER_BYTES  # nothing cannot be mapped
        array: NDArray[Any] = np.load(path, mmap_mode="r" if has_rows else None)
        return array


class ActivationSpill:
    """Takes activations batch by batch into parts in `folder`, and gives them back range by range, sorted.

    A spill on a folder with parts goes on after the last of them: at window `self.stop`.
    """

    def __init__(self, folder: Path, n_features: int) -> None:
        self._folder, self._n_features = folder, n_features
        folder.mkdir(parents=True, exist_ok=True)
        self.parts = list(_finished_parts(folder))
        self.stop = self.parts[-1].stop if self.parts else 0
        self._begin()

    def add(
        self,
        read: NDArray[np.int64],
        features: NDArray[np.int64],
        rows: NDArray[np.int64],
        activations: NDArray[np.float32],
        stop: int,
    ) -> None:
        """Takes the batch of the windows up to `stop`: the positions it read, and of each activation its feature and
        the row of its token among them, in the order of the text."""
        self._features.append(features.astype(np.uint32))
        self._rows.append((rows + self._tokens).astype(np.uint32))
        self._activations.append(activations)
        self._read.append(read)
        self._tokens += len(read)
        self._count += len(rows)
        self._added = stop
        if self._count >= ACTIVATIONS_AT_ONCE or self._tokens >= PART_TOKENS:
            self.finish_part()

    def finish_part(self) -> None:
        """Brings what was added since the last part to disk as one more; nothing where nothing was added."""
        if self._added == self.stop:
            return
        features = np.concatenate(self._features)
        order = _order(features.astype(np.uint64) << np.uint64(32), 32)
        counts = np.bincount(features, minlength=self._n_features)
        arrays = {
            "read": np.concatenate(self._read),
            "feature_starts": np.concatenate([[0], np.cumsum(counts)]),
            "rows": np.concatenate(self._rows)[order],
            "activations": np.concatenate(self._activations)[order],
        }
        self._save(arrays)
        self.stop = self._added
        self._begin()

    def __len__(self) -> int:
        """How many activations are in the finished parts."""
        return sum(int(part.feature_starts[-1]) for part in self.parts)

    def ranges(self) -> list[tuple[int, int]]:
        """Features first <= feature < stop whose activations are sorted together; all of them, in order."""
        counts = np.zeros(self._n_features, np.int64)
        for part in self.parts:
            counts += np.diff(part.feature_starts)
        ends = np.concatenate([[0], np.cumsum(counts)])
        found, first = [], 0
        while first < self._n_features:
            fitting = int(np.searchsorted(ends, ends[first] + ACTIVATIONS_AT_ONCE, side="right")) - 1
            stop = max(first + 1, min(fitting, first + MOST_FEATURES, self._n_features))
            found.append((first, stop))
            first = stop
        return found

    def sorted_range(self, first: int, stop: int) -> SortedActivations:
        """All activations of the features first <= feature < stop; of equal ones the first in the text comes first."""
        features, positions, activations = [], [], []
        for part in self.parts:
            starts = part.feature_starts[first : stop + 1]
            here = slice(int(starts[0]), int(starts[-1]))
            features.append(np.repeat(np.arange(first, stop, dtype=np.int32), np.diff(starts)))
            positions.append(part.read[part.rows[here]])
            activations.append(part.activations[here])
        feature, activation = np.concatenate(features), np.concatenate(activations)
        order = by_falling_activation(feature - first, activation)
        return SortedActivations(first, stop, feature[order], np.concatenate(positions)[order], activation[order])

    def _begin(self) -> None:
        self._features: list[NDArray[np.uint32]] = []
        self._rows: list[NDArray[np.uint32]] = []
        self._activations: list[NDArray[np.float32]] = []
        self._read: list[NDArray[np.int64]] = []
        self._tokens = self._count = 0
        self._added = self.stop

    def _save(self, arrays: dict[str, NDArray[Any]]) -> None:
        made = self._folder / "unfinished"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for name, array in arrays.items():
            np.save(made / f"{name}.npy", array)
        part = Part(self._folder / f"part-{self.stop}-{self._added}", self.stop, self._added)
        replace_folder(made, part.folder)
        self.parts.append(part)


def _finished_parts(folder: Path) -> Iterator[Part]:
    """The parts that follow each other from the first window on."""
    found = {
        int(name[1]): Part(path, int(name[1]), int(name[2]))
        for path in folder.iterdir()
        if (name := _NAME.fullmatch(path.name))
    }
    stop = 0
    while stop in found:
        yield found[stop]
        stop = found[stop].stop


def by_falling_activation(features: NDArray[np.int32], activations: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order by feature, then by falling activation, then as it was.

    The bits of positive floats are ordered as the floats are, so their complement is ordered the other way round.
    """
    row_bits = max(1, len(activations).bit_length())
    falling = (~np.ascontiguousarray(activations).view(np.uint32)).astype(np.uint64) & np.uint64(2**ACTIVATION_BITS - 1)
    keys = features.astype(np.uint64) << np.uint64(ACTIVATION_BITS) | falling
    return _order(keys << np.uint64(row_bits), row_bits)


def _order(keys: NDArray[np.uint64], row_bits: int) -> NDArray[np.int64]:
    """The stable order of `keys`, whose lowest `row_bits` are free.

    With the row in them, sorting plain numbers gives the order, many times faster than argsort.
    """
    keys |= np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(2**row_bits - 1)).astype(np.int64)
