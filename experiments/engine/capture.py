"""Reading windows with a language model and keeping the hidden states of their text.

Special tokens are left out by their position. So are attention sinks and the like: hidden states whose norm is more
than ten times the median carry next to no information about their token and would rule every average; how many were
left out is counted. The same windows in the same order always give the same hidden states.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.input_statistics import OUTLIER_MEDIANS
from experiments.engine.language_model import LanguageModel
from experiments.engine.windows import Windows

# Tokens read at once: on a processor so few that a block's tensors stay in its caches, else as many as keep it busy.
BATCH_TOKENS = {"cpu": 4_096}
BATCH_TOKENS_ELSEWHERE = 32_768
# Logits are the largest tensor of a forward; a batch that needs them is cut so that they stay below this.
LOGIT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states [n, width] (float32) of text tokens, and where each was: window * context_length + offset.

    `outliers_left_out` of them had a norm above `norm_limit`.
    """

    states: Tensor
    positions: NDArray[np.int64]
    outliers_left_out: int
    norm_limit: float


def windows_per_batch(model: LanguageModel, context_length: int, *, with_logits: bool = False) -> int:
    """How many windows are read at once: enough to be fast, few enough to fit."""
    tokens = BATCH_TOKENS.get(model.device.type, BATCH_TOKENS_ELSEWHERE)
    if with_logits:
        tokens = min(tokens, LOGIT_BYTES // (4 * model.vocabulary_size))
    return max(1, tokens // context_length)


def capture_batches(
    model: LanguageModel, windows: Windows, layer: int, site: str, norm_limit: float = math.inf
) -> Iterator[HiddenStates]:
    """Yields the hidden states of `windows` batch by batch, in order, without those above `norm_limit`.

    Raises ModelRefused when the model gives numbers that are not finite.
    """
    context_length = windows.tokens.shape[1]
    size = windows_per_batch(model, context_length)
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        states = model.hidden_states(batch.tokens, layer, site).flatten(0, 1)  # [tokens, width]
        text = np.flatnonzero(~batch.special)
        kept = states[torch.from_numpy(text).to(states.device)]
        yield _without_outliers(kept, text + start * context_length, norm_limit)


def capture_segment(
    model: LanguageModel, windows: Windows, layer: int, site: str, norm_limit: float | None = None
) -> Generator[int, None, HiddenStates]:
    """Returns the hidden states of all `windows`; yields the number of tokens read after every batch.

    Without a `norm_limit` it is ten times the median norm of these hidden states.
    """
    states = torch.empty(windows.text_tokens, model.width, device=model.device)
    positions: list[NDArray[np.int64]] = []
    filled = outliers = 0
    for batch in capture_batches(model, windows, layer, site, math.inf if norm_limit is None else norm_limit):
        states[filled : filled + len(batch.states)] = batch.states
        positions.append(batch.positions)
        filled += len(batch.states)
        outliers += batch.outliers_left_out
        yield filled + outliers
    where = np.concatenate(positions) if positions else np.empty(0, np.int64)
    if norm_limit is None:
        return _without_outliers(states, where, norm_limit_of(states))
    return HiddenStates(states[:filled], where, outliers, norm_limit)


def norm_limit_of(states: Tensor) -> float:
    """The norm above which a hidden state counts as an outlier among `states` [n, width]."""
    return OUTLIER_MEDIANS * float(states.norm(dim=1).median()) if len(states) else math.inf


def _without_outliers(states: Tensor, positions: NDArray[np.int64], norm_limit: float) -> HiddenStates:
    if norm_limit == math.inf:
        return HiddenStates(states, positions, 0, norm_limit)
    kept = states.norm(dim=1) <= norm_limit
    outliers = int((~kept).sum())
    if not outliers:
        return HiddenStates(states, positions, 0, norm_limit)
    return HiddenStates(states[kept], positions[kept.cpu().numpy()], outliers, norm_limit)
