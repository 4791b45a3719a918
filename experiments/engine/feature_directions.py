"""What a feature's decoder row says by itself: which tokens it promotes, and which other features lie near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SHOWN = 10
# Features compared at once with the whole vocabulary or all features: bounds the matrix of results.
NUMBERS_AT_ONCE = 2**24


class FeatureDirections:
    """Reads the decoder rows [N, width], against the model's unembedding [vocabulary, width] where it has one."""

    def __init__(self, decoder: Tensor, unembedding: Tensor | None, token_texts: Sequence[str]) -> None:
        self._decoder, self._texts = decoder, token_texts
        self._unit = functional.normalize(decoder, dim=1)  # rows of imported SAEs have any length
        # A direction that raises all logits alike changes no prediction, so effects are taken from their mean.
        self._unembedding = None if unembedding is None else unembedding - unembedding.mean(0)

    def describe(self, first: int, stop: int) -> list[dict[str, Any]]:
        """`promoted`, `suppressed` (both empty without an unembedding) and `nearest` of the features [first, stop)."""
        largest = max(len(self._decoder), 0 if self._unembedding is None else len(self._unembedding))
        rows = max(1, NUMBERS_AT_ONCE // largest)
        return [
            lens | {"nearest": near}
            for start in range(first, stop, rows)
            for lens, near in zip(
                self._logit_lens(start, min(stop, start + rows)),
                self._nearest(start, min(stop, start + rows)),
                strict=True,
            )
        ]

    def _logit_lens(self, first: int, stop: int) -> list[dict[str, Any]]:
        """The logit lens (nostalgebraist 2020) of activations of one: effects on the logits of every token."""
        if self._unembedding is None:
            return [{"promoted": [], "suppressed": []} for _ in range(first, stop)]
        logits = self._decoder[first:stop] @ self._unembedding.T  # [features, vocabulary]
        shown = min(SHOWN, logits.shape[1])
        promoted, suppressed = logits.topk(shown), logits.topk(shown, largest=False)
        return [
            {"promoted": self._tokens(*up), "suppressed": self._tokens(*down)}
            for up, down in zip(_rows(promoted), _rows(suppressed), strict=True)
        ]

    def _nearest(self, first: int, stop: int) -> list[list[dict[str, Any]]]:
        """The features whose decoder rows have the largest cosine with each row, itself left out."""
        cosines = self._unit[first:stop] @ self._unit.T  # [features, N]
        itself = torch.arange(first, stop, device=cosines.device)[:, None]
        cosines.scatter_(1, itself, -torch.inf)
        nearest = cosines.topk(min(SHOWN, len(self._decoder) - 1))
        return [
            [{"index": index, "cosine": cosine} for cosine, index in zip(values, indices, strict=True)]
            for values, indices in _rows(nearest)
        ]

    def _tokens(self, logits: list[float], tokens: list[int]) -> list[dict[str, Any]]:
        return [
            {"token": token, "text": self._texts[token], "logit": logit}
            for logit, token in zip(logits, tokens, strict=True)
        ]


def _rows(found: torch.return_types.topk) -> list[tuple[list[float], list[int]]]:
    return list(zip(found.values.tolist(), found.indices.tolist(), strict=True))
