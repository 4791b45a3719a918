"""The order in which an SAE sees its training tokens: a function of the seed, never of how far a run got.

The windows of the corpus are put in one seeded order, and that order is cut into segments. A segment is captured as a
whole and its hidden states are shuffled anew in every epoch; so a segment is the unit of mixing, of memory and of
resuming, and a resumed run captures one segment again and goes on inside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# What a stream of random numbers is for; keeps the streams of one seed apart.
WINDOW_ORDER, STATE_ORDER, WEIGHTS, RESAMPLING = 0, 1, 2, 3


@dataclass(frozen=True)
class Position:
    """The next batch: batch `batch` of segment `segment` in epoch `epoch`, after `step` steps."""

    step: int = 0
    epoch: int = 0
    segment: int = 0
    batch: int = 0

    def after_batch(self) -> Position:
        return replace(self, step=self.step + 1, batch=self.batch + 1)

    def after_segment(self, segments: int) -> Position:
        following = self.segment + 1
        return replace(self, epoch=self.epoch + following // segments, segment=following % segments, batch=0)


def random_numbers(seed: int, purpose: int, *counters: int) -> np.random.Generator:
    """An independent stream for one purpose; the same arguments always give the same numbers."""
    return np.random.default_rng([seed, purpose, *counters])


def cut_into_segments(windows: int, window_tokens: int, segment_tokens: int, seed: int) -> list[NDArray[np.int64]]:
    """The window numbers of every segment: all `windows` once, in seeded order, in parts of nearly equal size."""
    order = random_numbers(seed, WINDOW_ORDER).permutation(windows)
    parts = max(1, round(windows * window_tokens / segment_tokens))
    return np.array_split(order, min(parts, windows))


def shuffled(states: int, seed: int, position: Position) -> NDArray[np.int64]:
    """The order in which the `states` hidden states of a segment are trained on in one epoch."""
    return random_numbers(seed, STATE_ORDER, position.epoch, position.segment).permutation(states)


def batches_of(states: int, text_tokens: int, batch_tokens: int) -> list[slice]:
    """A segment in as many batches as its text would fill, of equal size but for the last, which may be smaller.

    `states` of its `text_tokens` are trained on, the others were outliers. So no batch is missing in the end, for which
    a whole segment had to be captured once more: not for what whole batches leave over, nor for outliers.
    """
    size = max(1, math.ceil(states / math.ceil(text_tokens / batch_tokens)))
    return [slice(start, min(start + size, states)) for start in range(0, states, size)]
