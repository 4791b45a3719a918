"""Reading windows with a language model and keeping the hidden states of their text.

Special tokens are left out by their position. So are attention sinks and the like: hidden states whose norm is more
than ten times the median carry next to no information about their token and would rule every average; how many were
left out is counted. The same windows in the same order always give the same hidden states. However many SAEs they are
for, and at however many places, the model reads the windows once.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.config import Place
from experiments.engine.input_statistics import OUTLIER_MEDIANS
from experiments.engine.language_model import LanguageModel
from experiments.engine.windows import Windows

# Tokens read at once: on a processor so few that a block's tensors stay in its caches, else as many as keep it busy.
BATCH_TOKENS = {"cpu": 4_096}
BATCH_TOKENS_ELSEWHERE = 32_768
# Logits are the largest tensor of a forward; a batch that needs them is cut so that they stay below this.
LOGIT_BYTES = 256 * 2**20
# Hidden states moved at a time when outliers are taken out of a segment: bounds what is copied.
ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Reading:
    """What one SAE is shown: the hidden states at `place`, and those of the same tokens at the places of `further`.

    Tokens whose hidden state at `place` has a norm above `norm_limit` are left out of all of them. Without a limit
    nothing is left out batch by batch, and a segment sets its own: ten times the median of its norms.
    """

    place: Place
    further: tuple[Place, ...] = ()
    norm_limit: float | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        return (self.place, *self.further)


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states [n, width] (float32) of text tokens, and where each was: window * context_length + offset.

    `outliers_left_out` of them had a norm above `norm_limit`. `further` are the hidden states of the same tokens at the
    further places of the reading.
    """

    states: Tensor
    positions: NDArray[np.int64]
    outliers_left_out: int
    norm_limit: float
    further: tuple[Tensor, ...] = ()


def windows_per_batch(model: LanguageModel, context_length: int, *, with_logits: bool = False) -> int:
    """How many windows are read at once: enough to be fast, few enough to fit."""
    tokens = BATCH_TOKENS.get(model.device.type, BATCH_TOKENS_ELSEWHERE)
    if with_logits:
        tokens = min(tokens, LOGIT_BYTES // (4 * model.vocabulary_size))
    return max(1, tokens // context_length)


def capture_batches(
    model: LanguageModel, windows: Windows, readings: Sequence[Reading]
) -> Iterator[tuple[HiddenStates, ...]]:
    """Reads `windows` once, batch by batch in order; yields the hidden states of every reading, without its outliers.

    Raises ModelRefused when the model does not have a place, or gives numbers that are not finite.
    """
    context_length = windows.tokens.shape[1]
    size = windows_per_batch(model, context_length)
    places = list(dict.fromkeys(place for reading in readings for place in reading.places))
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        text = np.flatnonzero(~batch.special)
        rows = torch.from_numpy(text).to(model.device)
        found = model.hidden_states(batch.tokens, places, batch.attention_mask)
        kept = {place: states.flatten(0, 1)[rows] for place, states in zip(places, found, strict=True)}
        yield tuple(_read(reading, kept, text + start * context_length) for reading in readings)


def capture_segment(
    model: LanguageModel, windows: Windows, readings: Sequence[Reading]
) -> Generator[int, None, tuple[HiddenStates, ...]]:
    """Returns the hidden states of all `windows` for every reading; yields the tokens read so far after every batch."""
    segments = [_Segment(model, windows.text_tokens, reading) for reading in readings]
    read = 0
    for batches in capture_batches(model, windows, readings):
        for segment, batch in zip(segments, batches, strict=True):
            segment.add(batch)
        read += len(batches[0].positions) + batches[0].outliers_left_out
        yield read
    return tuple(segment.finished() for segment in segments)


class _Segment:
    """The hidden states of one reading while they are captured, in tensors that are made once."""

    def __init__(self, model: LanguageModel, size: int, reading: Reading) -> None:
        self._reading = reading
        self._tensors = [torch.empty(size, model.width_of(place), device=model.device) for place in reading.places]
        self._positions: list[NDArray[np.int64]] = []
        self._filled = self._outliers = 0

    def add(self, batch: HiddenStates) -> None:
        rows = slice(self._filled, self._filled + len(batch.states))
        for tensor, states in zip(self._tensors, (batch.states, *batch.further), strict=True):
            tensor[rows] = states
        self._positions.append(batch.positions)
        self._filled, self._outliers = rows.stop, self._outliers + batch.outliers_left_out

    def finished(self) -> HiddenStates:
        positions = np.concatenate(self._positions) if self._positions else np.empty(0, np.int64)
        tensors = [tensor[: self._filled] for tensor in self._tensors]
        limit, outliers = self._reading.norm_limit, self._outliers
        if limit is None:
            limit = norm_limit_of(tensors[0])
            kept = _below(limit, tensors[0])
            if kept is not None:
                tensors = [_moved_together(tensor, kept) for tensor in tensors]
                positions = positions[kept.cpu().numpy()]
                outliers = self._filled - len(positions)
        return HiddenStates(tensors[0], positions, outliers, limit, tuple(tensors[1:]))


def norm_limit_of(states: Tensor) -> float:
    """The norm above which a hidden state counts as an outlier among `states` [n, width]."""
    return OUTLIER_MEDIANS * float(states.norm(dim=1).median()) if len(states) else math.inf


def _read(reading: Reading, states: dict[Place, Tensor], positions: NDArray[np.int64]) -> HiddenStates:
    """The hidden states of `reading` among those of one batch, [n, width] at every place."""
    limit = math.inf if reading.norm_limit is None else reading.norm_limit
    own, *further = (states[place] for place in reading.places)
    kept = _below(limit, own)
    if kept is None:
        return HiddenStates(own, positions, 0, limit, tuple(further))
    outliers = len(kept) - int(kept.sum())
    return HiddenStates(
        own[kept], positions[kept.cpu().numpy()], outliers, limit, tuple(states[kept] for states in further)
    )


def _below(norm_limit: float, states: Tensor) -> Tensor | None:
    """Which of `states` [n, width] are no outliers, or None where all of them are none."""
    if norm_limit == math.inf:
        return None
    kept = states.norm(dim=1) <= norm_limit
    return None if bool(kept.all()) else kept


def _moved_together(states: Tensor, kept: Tensor) -> Tensor:
    """The rows of `states` that are `kept`, in the same memory: a copy of a whole segment may not fit beside it."""
    filled = 0
    for rows, chosen in zip(torch.split(states, ROWS_AT_ONCE), torch.split(kept, ROWS_AT_ONCE), strict=True):
        remaining = rows[chosen]
        states[filled : filled + len(remaining)] = remaining
        filled += len(remaining)
    return states[:filled]
