"""Near misses: tokens like those that a feature fires on, on which it is silent.

A near miss is a token that the SAE read, on which the feature has activation 0, and whose id is among the tokens on
which the feature fires most often. Those that also have the same token before them as one of its firings come first:
they differ from it only further away. Otherwise the choice is random from a seed, with one near miss per document.
Where there are more than MOST_COMPARED such tokens, every n-th of them is looked at, from a seeded one on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.engine.feature_statistics import distinct
from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings
from features.activation_index.passages import Context, ExampleToken, around, tokens_at
from features.activation_index.text import Positions, Text, text_of

TOKENS_COMPARED = 10
MOST_COMPARED = 100_000
# Candidates that are looked at, for each near miss wanted: enough to find other documents.
CANDIDATES = 64


@dataclass(frozen=True)
class NearMiss:
    """Tokens around a position on which the feature is silent; `same_previous`: the token before is alike too."""

    position: int
    document: int
    kind: str | None
    token: str
    same_previous: bool
    tokens: tuple[ExampleToken, ...]


def near_misses(files: IndexFiles, firings: Firings, count: int, seed: int, context: Context) -> list[NearMiss]:
    """Up to `count` near misses; none for a feature that never fires, or always on its tokens."""
    text, random = text_of(files), np.random.default_rng(seed)
    candidates = _silent_on(text, firings)
    step = -(-len(candidates) // MOST_COMPARED) or 1
    candidates = candidates[int(random.integers(step)) :: step]
    alike = _has_previous_of_firing(text, firings, candidates)
    chosen: list[int] = []
    for group in (candidates[alike], candidates[~alike]):
        sample = random.choice(group, size=min(len(group), count * CANDIDATES), replace=False)
        chosen += _one_per_document(text, sample, chosen)[: count - len(chosen)]
    documents = text.document_at(np.array(chosen, np.int64)).tolist()
    passages = tokens_at(files, around(text, chosen, context), firings)
    vocabulary, similar = files.vocabulary(), set(candidates[alike].tolist())
    return [
        NearMiss(
            position, document, text.kind_of(document), vocabulary[text.tokens[position]], position in similar, tokens
        )
        for position, document, tokens in zip(chosen, documents, passages, strict=True)
    ]


def _silent_on(text: Text, firings: Firings) -> Positions:
    """The positions of the tokens that the feature fires on most, where it is silent."""
    fired = np.bincount(text.tokens[firings.positions], minlength=1)
    most = np.argsort(-fired, kind="stable")[:TOKENS_COMPARED]
    wanted = np.zeros(int(text.tokens.max(initial=0)) + 1, bool)
    wanted[most[fired[most] > 0]] = True
    candidates = wanted[text.tokens] & text.read
    candidates[firings.positions] = False
    return np.flatnonzero(candidates)


def _has_previous_of_firing(text: Text, firings: Firings, candidates: Positions) -> NDArray[np.bool_]:
    """Whether a firing of the feature is on the same token after the same one, both in one window."""
    pairs, has_pair = _pairs(text, firings.positions)
    own, has_own = _pairs(text, candidates)
    alike: NDArray[np.bool_] = has_own & np.isin(own, distinct(pairs[has_pair]))
    return alike


def _pairs(text: Text, positions: Positions) -> tuple[Positions, NDArray[np.bool_]]:
    """A number for the token before and the token at each position, and whether there is one before in the window."""
    before = text.tokens[np.maximum(positions - 1, 0)].astype(np.int64)
    return before << 32 | text.tokens[positions], positions % text.context_length > 0


def _one_per_document(text: Text, positions: Positions, chosen: list[int]) -> list[int]:
    documents = text.document_at(positions)
    _, first = np.unique(documents, return_index=True)
    first = np.sort(first)
    taken = np.isin(documents[first], text.document_at(np.array(chosen, np.int64)))
    found: list[int] = positions[first][~taken].tolist()
    return found
