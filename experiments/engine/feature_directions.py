"""What a feature's decoder row says by itself: which tokens it promotes, and which other features lie near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.engine.row_search import RowSearch

SHOWN = 10
# Features compared at once with the whole vocabulary or all features: bounds the matrix of results.
NUMBERS_AT_ONCE = 2**24


class FeatureDirections:
    """Reads the decoder rows [N, width], against the model's unembedding [vocabulary, width] where it has one."""

    def __init__(self, decoder: Tensor, unembedding: Tensor | None, token_texts: Sequence[str]) -> None:
        self._decoder, self._texts = decoder, token_texts
        self._unit = functional.normalize(decoder, dim=1)  # rows of imported SAEs have any length
        self._features = RowSearch(self._unit)
        self._tokens_shown = min(SHOWN, 0 if unembedding is None else len(unembedding))
        # A direction that raises all logits alike changes no prediction, so effects are taken from their mean.
        self._vocabulary = None if unembedding is None else RowSearch(unembedding - unembedding.mean(0))
        largest = max(len(decoder), 0 if unembedding is None else len(unembedding))
        self._rows_at_once = max(1, NUMBERS_AT_ONCE // largest)

    def describe(self, first: int, stop: int) -> list[dict[str, Any]]:
        """`promoted`, `suppressed` (both empty without an unembedding) and `nearest` of the features [first, stop)."""
        described = []
        for start in range(first, stop, self._rows_at_once):
            end = min(stop, start + self._rows_at_once)
            for lens, near in zip(self._logit_lens(start, end), self._nearest(start, end), strict=True):
                described.append(lens | {"nearest": near})
        return described

    def _logit_lens(self, first: int, stop: int) -> list[dict[str, Any]]:
        """The logit lens (nostalgebraist 2020) of activations of one: effects on the logits of every token."""
        if self._vocabulary is None:
            return [{"promoted": [], "suppressed": []} for _ in range(first, stop)]
        logits = self._vocabulary.products(self._decoder[first:stop])
        promoted, suppressed = logits.largest(self._tokens_shown), logits.smallest(self._tokens_shown)
        return [
            {"promoted": self._tokens(*up), "suppressed": self._tokens(*down)}
            for up, down in zip(_rows(*promoted), _rows(*suppressed), strict=True)
        ]

    def _nearest(self, first: int, stop: int) -> list[list[dict[str, Any]]]:
        """The features whose decoder rows have the largest cosine with each row, itself left out."""
        itself = torch.arange(first, stop, device=self._decoder.device)
        shown = min(SHOWN, len(self._decoder) - 1)
        nearest = self._features.products(self._unit[first:stop], without=itself).largest(shown)
        return [
            [{"index": index, "cosine": cosine} for cosine, index in zip(values, indices, strict=True)]
            for values, indices in _rows(*nearest)
        ]

    def _tokens(self, logits: list[float], tokens: list[int]) -> list[dict[str, Any]]:
        return [
            {"token": token, "text": self._texts[token], "logit": logit}
            for logit, token in zip(logits, tokens, strict=True)
        ]


def _rows(values: Tensor, indices: Tensor) -> list[tuple[list[float], list[int]]]:
    return list(zip(values.tolist(), indices.tolist(), strict=True))
