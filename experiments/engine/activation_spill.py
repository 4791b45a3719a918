"""Sorting more activations than fit into memory: they are dealt into ranges of features, each range is sorted alone.

The ranges are written to files while the SAE reads the text, in the order of the text; sorting a range by feature and
falling activation keeps that order among equals. Memory is bounded by the largest range, not by the harvest. No torch.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from experiments.engine.config import ACTIVATIONS_AT_ONCE

MOST_RANGES = 256  # open files
MOST_FEATURES = 2**16  # in one range, so that a radix sort of 16-bit numbers groups them
RECORD = np.dtype([("feature", np.int32), ("position", np.int64), ("activation", np.float32)])


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


class ActivationSpill:
    """Takes activations batch by batch; afterwards gives them back range by range. A context manager."""

    def __init__(self, folder: Path, n_features: int, expected_activations: int) -> None:
        wanted = max(-(-expected_activations // ACTIVATIONS_AT_ONCE), -(-n_features // MOST_FEATURES))
        ranges = min(MOST_RANGES, n_features, max(1, wanted))
        self.bounds = np.linspace(0, n_features, ranges + 1).astype(np.int64)
        self._paths = [folder / f"range-{number}" for number in range(ranges)]
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(path.open("w+b")) for path in self._paths]

    def __enter__(self) -> ActivationSpill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, features: NDArray[np.int64], positions: NDArray[np.int64], activations: NDArray[np.float32]) -> None:
        """Takes activations in the order of the text: three arrays of equal length."""
        ranges = (np.searchsorted(self.bounds, features, side="right") - 1).astype(np.uint8)
        order = np.argsort(ranges, kind="stable")
        records = np.empty(len(order), RECORD)
        records["feature"], records["position"] = features[order], positions[order]
        records["activation"] = activations[order]
        ends = np.cumsum(np.bincount(ranges, minlength=len(self._files)))
        for file, part in zip(self._files, np.split(records, ends[:-1]), strict=True):
            file.write(part.tobytes())

    def sorted_range(self, number: int) -> SortedActivations:
        """All activations of one range of features, sorted."""
        self._files[number].flush()
        records = np.fromfile(self._paths[number], RECORD)
        first, stop = int(self.bounds[number]), int(self.bounds[number + 1])
        order = _by_falling_activation(records["activation"])
        order = order[np.argsort((records["feature"][order] - first).astype(np.uint16), kind="stable")]
        columns = (records[name][order] for name in ("feature", "position", "activation"))
        return SortedActivations(first, stop, *columns)


def _by_falling_activation(activations: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order of falling activation, the first of equals first.

    The bits of positive floats are ordered as the floats are, so their complement is ordered the other way round. With
    the row in the lower half of the key, sorting plain numbers gives the order, many times faster than argsort.
    """
    falling = ~np.ascontiguousarray(activations).view(np.uint32)
    rows = np.arange(len(activations), dtype=np.uint64)
    keys = np.sort(falling.astype(np.uint64) << np.uint64(32) | rows)
    return (keys & np.uint64(2**32 - 1)).astype(np.int64)
