"""Which features fire together with a feature: counted exactly, over the whole SAE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings
from features.activation_index.text import Positions, Text, text_of

_TOGETHER = """
    SELECT a.feature, count(*) AS both FROM read_parquet($activations) a
    WHERE a.position IN (SELECT position FROM near) AND a.feature <> $feature GROUP BY a.feature
"""
_FIRINGS = 'SELECT "index" AS feature, firings FROM read_parquet($summaries) WHERE firings > 0 ORDER BY "index"'


@dataclass(frozen=True)
class CoFiringFeature:
    """A feature and how often it fires near the other one: on `both` of its own `firings`.

    With A the tokens near a firing of the other feature, B those on which this one fires, and T all tokens read:
    `jaccard` is |A and B| / |A or B|, `pmi` is log2(|A and B| T / (|A| |B|)), in bits; 0 bits is chance.
    """

    index: int
    both: int
    firings: int
    jaccard: float
    pmi: float


@dataclass(frozen=True)
class CoFiring:
    """The features that fire most with a feature, by Jaccard; `tokens_near` is the number of tokens near its firings.

    `within` is how near: 0 is the same token, n are at most n tokens before or after in the same window.
    """

    within: int
    tokens_near: int
    items: tuple[CoFiringFeature, ...]


def co_firing(files: IndexFiles, feature: int, firings: Firings, within: int, limit: int) -> CoFiring:
    """Reads the positions of all activations once, whatever the feature. Raises IndexUnavailable."""
    text = text_of(files)
    near = firings.rising if within == 0 else _near(text, firings.rising, within)
    if len(near) == 0:
        return CoFiring(within, 0, ())
    found = files.columns(_TOGETHER, {"near": {"position": near}}, feature=feature)
    every = files.columns(_FIRINGS)
    firing = every["firings"][np.searchsorted(every["feature"], found["feature"])]
    jaccard = found["both"] / (len(near) + firing - found["both"])
    best = np.lexsort((found["feature"], -jaccard))[:limit]
    items = tuple(
        CoFiringFeature(index, both, fires, share, _pmi(both, len(near), fires, text.tokens_read))
        for index, both, fires, share in zip(
            found["feature"][best].tolist(),
            found["both"][best].tolist(),
            firing[best].tolist(),
            jaccard[best].tolist(),
            strict=True,
        )
    )
    return CoFiring(within, len(near), items)


def _near(text: Text, positions: Positions, within: int) -> Positions:
    """The tokens that were read, at most `within` before or after one of the positions, in the same window."""
    found = np.zeros(len(text.tokens), bool)
    for step in range(-within, within + 1):
        moved = positions + step
        found[moved[moved // text.context_length == positions // text.context_length]] = True
    return np.flatnonzero(found & text.read)


def _pmi(both: int, near: int, firings: int, tokens: int) -> float:
    return math.log2(both * tokens / (near * firings))
