"""Segments of hidden states, captured from the training windows of a corpus by a language model."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from experiments.engine.cached_segments import CachedSegments
from experiments.engine.capture import HiddenStates, Reading, capture_segment
from experiments.engine.config import ExperimentConfig
from experiments.engine.language_model import LanguageModel
from experiments.engine.segments import cut_into_segments
from experiments.engine.windows import Windows
from experiments.engine.work_ahead import SideStream, WorkAhead


class CorpusCapture:
    """The segments of a corpus, for all the SAEs that are trained on it side by side: each is captured once for all.

    Holds one segment; asking for the one it holds reads nothing again. Readings that are alike share its memory. A
    reading without a norm limit gets that of the first segment that is captured, for all that follow. What of `config`
    counts is how the text is cut: context length, segment length and seed. With `cached`, what the cache holds is not
    captured again. With `overlaps`, `capture_ahead` begins with a segment while the one that is held is in use, so that
    there are two; close the capture to end that.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        model: LanguageModel,
        windows: Windows,
        readings: Sequence[Reading],
        cached: CachedSegments | None = None,
        *,
        overlaps: bool = False,
    ) -> None:
        self._model, self._windows, self._cached = model, windows, cached
        tokens = config.training.segment_tokens
        self._segments = cut_into_segments(len(windows), config.context_length, tokens, config.order_seed)
        self._readings = list(dict.fromkeys(readings))
        self._of_source = [self._readings.index(reading) for reading in readings]
        self._captured: tuple[HiddenStates, ...] | None = None
        self._captured_segment: int | None = None
        self._overlaps, self._stream = overlaps, SideStream(model.device)
        self._ahead: tuple[int, WorkAhead[tuple[HiddenStates, ...]]] | None = None

    @property
    def segments(self) -> int:
        return len(self._segments)

    @property
    def sources(self) -> list[CorpusSource]:
        """One for each of the readings, in their order."""
        return [CorpusSource(self, number) for number in self._of_source]

    def text_tokens(self, segment: int) -> int:
        return self._windows[self._segments[segment]].text_tokens

    def capture(self, segment: int) -> Iterator[int]:
        """Captures a segment; yields the tokens read so far."""
        if segment == self._captured_segment:
            return
        self._captured = self._captured_segment = None  # makes room before the next one is filled
        self._captured = yield from self._awaited(segment)
        self._captured_segment = segment
        self._readings = [
            replace(reading, norm_limit=found.norm_limit)
            for reading, found in zip(self._readings, self._captured, strict=True)
        ]

    def capture_ahead(self, segment: int) -> None:
        """Begins to capture the segment that is wanted next, where that overlaps with the use of the one held."""
        if not self._overlaps or segment == self._captured_segment:
            return
        self.close()
        self._ahead = segment, WorkAhead(self._found(segment), self._stream)

    def close(self) -> None:
        """Ends what is captured ahead; no thread is left."""
        if self._ahead is not None:
            self._ahead[1].stop()
            self._ahead = None

    def _awaited(self, segment: int) -> Generator[int, None, tuple[HiddenStates, ...]]:
        """The segment that is captured ahead; one that is not is captured now."""
        if self._ahead is not None and self._ahead[0] == segment:
            try:
                found = yield from self._ahead[1].finished()
                self._stream.hand_over(tensor for states in found for tensor in (states.states, *states.further))
                return found
            except torch.OutOfMemoryError:
                self._overlaps = False  # there is no room for two segments: from now on one after the other
            finally:
                self.close()
        self.close()
        return (yield from self._found(segment))

    def _found(self, segment: int) -> Generator[int, None, tuple[HiddenStates, ...]]:
        """The segment for every reading: from the cache, or else captured, and kept there where there is room."""
        windows = self._windows[self._segments[segment]]
        found: dict[Reading, HiddenStates] = {}
        if self._cached:
            kept = {reading: self._cached.find(reading, segment) for reading in self._readings}
            found = {reading: states for reading, states in kept.items() if states is not None}
        missing = [reading for reading in self._readings if reading not in found]
        if not missing:
            yield windows.text_tokens
            return tuple(found[reading] for reading in self._readings)
        captured = yield from capture_segment(self._model, windows, missing)
        for reading, states in zip(missing, captured, strict=True):
            found[reading] = states
            if self._cached:
                self._cached.keep(reading, segment, states)
        return tuple(found[reading] for reading in self._readings)

    def held(self, number: int) -> HiddenStates:
        """The segment that is held, as one of the distinct readings has it."""
        if self._captured is None:
            raise RuntimeError("no segment has been captured yet")
        return self._captured[number]

    def norm_limit(self, number: int) -> float:
        limit = self._readings[number].norm_limit
        return self.held(number).norm_limit if limit is None else limit


class CorpusSource:
    """The SegmentSource of one experiment: one reading of a capture that it may share with others."""

    def __init__(self, capture: CorpusCapture, number: int) -> None:
        self._capture, self._number = capture, number

    @property
    def segments(self) -> int:
        return self._capture.segments

    @property
    def norm_limit(self) -> float:
        return self._capture.norm_limit(self._number)

    @property
    def hidden_states(self) -> Tensor:
        return self._capture.held(self._number).states

    @property
    def further(self) -> tuple[Tensor, ...]:
        """The hidden states of the same tokens at the further places of the reading, each [T, width]."""
        return self._capture.held(self._number).further

    @property
    def outliers_left_out(self) -> int:
        """In the segment that is held."""
        return self._capture.held(self._number).outliers_left_out

    def text_tokens(self, segment: int) -> int:
        return self._capture.text_tokens(segment)

    def capture(self, segment: int) -> Iterator[int]:
        """Captures a segment; yields the tokens read so far."""
        yield from self._capture.capture(segment)

    def capture_ahead(self, segment: int) -> None:
        """Begins to capture the segment that is wanted next, where that overlaps with the use of the one held."""
        self._capture.capture_ahead(segment)
