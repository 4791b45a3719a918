"""Segments of hidden states, captured from the training windows of a corpus by a language model."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from experiments.engine.capture import HiddenStates, capture_segment
from experiments.engine.config import ExperimentConfig
from experiments.engine.language_model import LanguageModel
from experiments.engine.segments import cut_into_segments
from experiments.engine.windows import Windows


class CorpusSource:
    """The SegmentSource of an experiment. Holds one segment; asking for the one it holds reads nothing again.

    Without a `norm_limit` the first segment that is captured sets it, for all that follow.
    """

    def __init__(
        self, config: ExperimentConfig, model: LanguageModel, windows: Windows, norm_limit: float | None = None
    ) -> None:
        self._config, self._model, self._windows = config, model, windows
        tokens = config.training.segment_tokens
        self._segments = cut_into_segments(len(windows), config.context_length, tokens, config.seed)
        self._norm_limit = norm_limit
        self._captured: HiddenStates | None = None
        self._captured_segment: int | None = None

    @property
    def segments(self) -> int:
        return len(self._segments)

    @property
    def norm_limit(self) -> float:
        return self._held().norm_limit if self._norm_limit is None else self._norm_limit

    @property
    def hidden_states(self) -> Tensor:
        return self._held().states

    @property
    def outliers_left_out(self) -> int:
        """In the segment that is held."""
        return self._held().outliers_left_out

    def text_tokens(self, segment: int) -> int:
        return self._windows[self._segments[segment]].text_tokens

    def capture(self, segment: int) -> Iterator[int]:
        """Captures a segment; yields the tokens read so far."""
        if segment == self._captured_segment:
            return
        self._captured = self._captured_segment = None  # makes room before the next one is filled
        windows = self._windows[self._segments[segment]]
        model, config = self._model, self._config
        self._captured = yield from capture_segment(model, windows, config.layer, config.site, self._norm_limit)
        self._captured_segment = segment
        self._norm_limit = self._captured.norm_limit

    def _held(self) -> HiddenStates:
        if self._captured is None:
            raise RuntimeError("no segment has been captured yet")
        return self._captured
