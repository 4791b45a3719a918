"""Per-feature summaries of the harvest, from sorted activations: counts, histogram, quantiles, top tokens. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.activation_spill import SortedActivations

HISTOGRAM_BINS = 24
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
TOP_TOKENS = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HarvestedText:
    """The harvested tokens: id and document at every position, how many the SAE read, and each token's text."""

    token_at: NDArray[np.int32]
    document_at: NDArray[np.int32]
    tokens_read: int
    occurrences: NDArray[np.int64]  # of every token id, among the tokens read
    texts: Sequence[str]


def summarise(found: SortedActivations, text: HarvestedText) -> Iterator[dict[str, Any]]:
    """A summary of every feature of the range, in order, also of those that never fire."""
    starts = found.starts()
    top_tokens, documents = _top_tokens(found, text), _documents(found, text)
    for number, feature in enumerate(range(found.first, found.stop)):
        activations = found.activations[starts[number] : starts[number + 1]]
        numbers = _numbers(feature, activations, text.tokens_read)
        yield numbers | {"documents": documents[number], "top_tokens": top_tokens[number]}


def _numbers(feature: int, falling: Floats, tokens_read: int) -> dict[str, Any]:
    fires = len(falling) > 0
    return {
        "index": feature,
        "tokens": tokens_read,
        "firings": len(falling),
        "density": len(falling) / max(1, tokens_read),
        "max_activation": float(falling[0]) if fires else 0.0,
        "mean_activation": float(falling.mean(dtype=np.float64)) if fires else 0.0,
        "histogram": histogram(falling[::-1]),
        "quantiles": quantiles(falling[::-1]),
    }


def histogram(rising: Floats) -> dict[str, list[Any]]:
    """Counts between edges that are even on a logarithmic axis, from the least to the greatest activation.

    `rising` [n] is sorted and above zero; the edges are HISTOGRAM_BINS + 1, or two around a single value.
    """
    if len(rising) == 0:
        return {"edges": [], "counts": []}
    least, greatest = float(rising[0]), float(rising[-1])
    if least == greatest:
        return {"edges": [least * 0.95, greatest * 1.05], "counts": [len(rising)]}
    edges = np.geomspace(least, greatest, HISTOGRAM_BINS + 1)
    inner = np.searchsorted(rising, edges[1:-1])
    counts = np.diff(np.concatenate([[0], inner, [len(rising)]]))
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def quantiles(rising: Floats) -> list[dict[str, float]]:
    """The exact quantiles of the activations above zero, linear between neighbours. `rising` [n] is sorted."""
    if len(rising) == 0:
        return []
    places = np.array(QUANTILES) * (len(rising) - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, len(rising) - 1)
    values = rising[below] + (places - below) * (rising[above] - rising[below])
    return [{"share": share, "activation": float(value)} for share, value in zip(QUANTILES, values, strict=True)]


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different ones of `numbers` (none below 0), rising.

    Numbers are sorted with vector instructions; np.unique keeps a hash table, which takes several times as long.
    """
    rising = np.sort(numbers)
    return rising[np.diff(rising, prepend=-1) != 0] if len(rising) else rising


def _documents(found: SortedActivations, text: HarvestedText) -> list[int]:
    """In how many documents each feature of the range fires."""
    local = found.features.astype(np.int64) - found.first
    pairs = distinct(local << 32 | text.document_at[found.positions])
    counts: list[int] = np.bincount(pairs >> 32, minlength=found.stop - found.first).tolist()
    return counts


def _top_tokens(found: SortedActivations, text: HarvestedText) -> list[list[dict[str, Any]]]:
    """For each feature of the range the tokens on which it fires most often, the most frequent first."""
    vocabulary = len(text.occurrences)
    local = found.features.astype(np.int64) - found.first
    pairs, firings = np.unique(local * vocabulary + text.token_at[found.positions], return_counts=True)
    features, tokens = np.divmod(pairs, vocabulary)
    order = np.lexsort((tokens, -firings, features))
    features, tokens, firings = features[order], tokens[order], firings[order]
    starts = np.searchsorted(features, np.arange(found.stop - found.first + 1))
    return [
        _token_rows(tokens[start : min(stop, start + TOP_TOKENS)], firings[start:stop], text)
        for start, stop in itertools.pairwise(starts)
    ]


def _token_rows(tokens: NDArray[np.int64], firings: NDArray[np.int64], text: HarvestedText) -> list[dict[str, Any]]:
    """`firings` are those of all tokens of the feature, `tokens` the first of them."""
    total = int(firings.sum())
    return [
        {
            "token": int(token),
            "text": text.texts[token],
            "firings": int(count),
            "share": int(count) / total,
            "occurrences": int(text.occurrences[token]),
        }
        for token, count in zip(tokens, firings, strict=False)
    ]
