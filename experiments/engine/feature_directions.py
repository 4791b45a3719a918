"""What a feature's weights say by themselves: the tokens it promotes, the features near it, the dimensions it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.engine.logit_histograms import logit_histograms
from experiments.engine.row_search import RowSearch

SHOWN = 10
# Features compared at once with the whole vocabulary or all features: bounds the matrix of results.
NUMBERS_AT_ONCE = 2**24


class FeatureDirections:
    """Reads the encoder's rows [N, width] and the decoder's [N, width'], these against the model's unembedding
    [vocabulary, width'] where it has one."""

    def __init__(
        self, encoder: Tensor, decoder: Tensor, unembedding: Tensor | None, token_texts: Sequence[str]
    ) -> None:
        self._encoder, self._decoder, self._texts = encoder, decoder, token_texts
        self._near_encoder, self._near_decoder = _NearRows(encoder), _NearRows(decoder)
        self._tokens_shown = min(SHOWN, 0 if unembedding is None else len(unembedding))
        # A direction that raises all logits alike changes no prediction, so effects are taken from their mean.
        self._vocabulary = None if unembedding is None else RowSearch(unembedding - unembedding.mean(0))
        largest = max(len(decoder), 0 if unembedding is None else len(unembedding))
        self._rows_at_once = max(1, NUMBERS_AT_ONCE // largest)

    def describe(self, first: int, stop: int) -> list[dict[str, Any]]:
        """Of each of the features [first, stop): `promoted`, `suppressed` and `logit_histogram` (empty and None without
        an unembedding), `nearest` (by decoder), `nearest_by_encoder` and `inputs`."""
        described = []
        for start in range(first, stop, self._rows_at_once):
            end = min(stop, start + self._rows_at_once)
            near = self._near_decoder.find(start, end), self._near_encoder.find(start, end)
            for lens, by_decoder, by_encoder, inputs in zip(
                self._logit_lens(start, end), *near, self._inputs(start, end), strict=True
            ):
                described.append(lens | {"nearest": by_decoder, "nearest_by_encoder": by_encoder, "inputs": inputs})
        return described

    def _logit_lens(self, first: int, stop: int) -> list[dict[str, Any]]:
        """The logit lens (nostalgebraist 2020) of activations of one: effects on the logits of every token."""
        if self._vocabulary is None:
            return [{"promoted": [], "suppressed": [], "logit_histogram": None} for _ in range(first, stop)]
        logits = self._vocabulary.products(self._decoder[first:stop])
        promoted, suppressed = logits.largest(self._tokens_shown), logits.smallest(self._tokens_shown)
        return [
            {"promoted": self._tokens(*up), "suppressed": self._tokens(*down), "logit_histogram": histogram}
            for up, down, histogram in zip(
                _rows(*promoted), _rows(*suppressed), logit_histograms(logits.found), strict=True
            )
        ]

    def _inputs(self, first: int, stop: int) -> list[list[dict[str, Any]]]:
        """The largest components of each encoder row, and the share of each in the row's L1 norm.

        SAEDashboard's neuron alignment reads decoder rows in the same way.
        """
        rows = self._encoder[first:stop].float()
        shares = functional.normalize(rows.abs(), p=1, dim=1)
        shares, dimensions = shares.topk(min(SHOWN, rows.shape[1]))
        weights = rows.gather(1, dimensions)
        return [
            [
                {"dimension": dimension, "weight": weight, "share": share}
                for dimension, weight, share in zip(*row, strict=True)
            ]
            for row in zip(dimensions.tolist(), weights.tolist(), shares.tolist(), strict=True)
        ]

    def _tokens(self, logits: list[float], tokens: list[int]) -> list[dict[str, Any]]:
        return [
            {"token": token, "text": self._texts[token], "logit": logit}
            for logit, token in zip(logits, tokens, strict=True)
        ]


class _NearRows:
    """Finds the rows of a matrix [N, width] with the largest cosines with one of them."""

    def __init__(self, matrix: Tensor) -> None:
        self._unit = functional.normalize(matrix.float(), dim=1)  # encoders' rows, and imported SAEs', have any length
        self._search = RowSearch(self._unit)

    def find(self, first: int, stop: int) -> list[list[dict[str, Any]]]:
        """For each of the rows [first, stop) the nearest others: `index` and `cosine`."""
        itself = torch.arange(first, stop, device=self._unit.device)
        shown = min(SHOWN, len(self._unit) - 1)
        nearest = self._search.products(self._unit[first:stop], without=itself).largest(shown)
        return [
            [{"index": index, "cosine": cosine} for cosine, index in zip(values, indices, strict=True)]
            for values, indices in _rows(*nearest)
        ]


def _rows(values: Tensor, indices: Tensor) -> list[tuple[list[float], list[int]]]:
    return list(zip(values.tolist(), indices.tolist(), strict=True))
