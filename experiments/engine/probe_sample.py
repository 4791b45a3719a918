"""The tokens that probes are fitted and tested on, with their hidden states and their features.

Of every concept at most CARRIERS tokens in each half of the documents, and OTHERS tokens of any kind, so that memory
does not grow with the held-out text. Even documents are fitted on, odd ones tested on, as in concept recovery.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.kernels import SparseCode

CARRIERS, OTHERS = 100, 1_000

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """Tokens of the sample (rows of it) that carry a concept and as many that do not, in one half."""

    rows: Ints
    carries: Bools


class SampledTokens:
    """Hidden states, firings, documents and concepts of sampled tokens; a row is a token, in the order of the text."""

    def __init__(self, flags: Bools, documents: NDArray[np.int32], text: Bools) -> None:
        """Chooses among the positions of the held-out text: `flags` [P, concepts], `documents` [P], `text` [P]."""
        random = np.random.default_rng(0)
        halves = [text & (documents % 2 == half) for half in (0, 1)]
        self._others = [_some(random, np.flatnonzero(inside), OTHERS) for inside in halves]
        self._carriers = [
            [_some(random, np.flatnonzero(inside & flags[:, concept]), CARRIERS) for inside in halves]
            for concept in range(flags.shape[1])
        ]
        self._wanted = np.zeros(len(text), bool)
        for positions in (*self._others, *(half for halves in self._carriers for half in halves)):
            self._wanted[positions] = True
        self._flags, self._documents = flags, documents
        self._parts: list[tuple[Ints, NDArray[np.float32], Ints, Ints, NDArray[np.float32]]] = []

    def add(self, positions: Ints, states: Tensor, code: SparseCode) -> None:
        """Keeps the wanted ones among some tokens: where they are [T], hidden states [T, width], features."""
        rows = np.flatnonzero(self._wanted[positions])
        features, tokens, activations = code.to_numpy()
        inside = self._wanted[positions][tokens] & (activations > 0)
        counts = np.bincount(tokens[inside], minlength=len(positions))[rows]
        kept = states.cpu().numpy()[rows]
        self._parts.append((positions[rows], kept, counts, features[inside], activations[inside]))

    def close(self) -> None:
        """Puts the batches together; to be called once, after the last `add`."""
        positions, states, counts, features, activations = (
            np.concatenate(parts) for parts in zip(*self._parts, strict=True)
        )
        self._parts, self.positions = [], positions
        self.states, self.flags, self.documents = states, self._flags[positions], self._documents[positions]
        self.odd = self.documents % 2 == 1
        self.features, self.activations = features, activations
        self.starts = np.r_[0, np.cumsum(counts)]

    def split(self, concept: int, *, odd: bool) -> Split:
        """At most CARRIERS carriers of one half and as many others of the same half."""
        carriers = self._rows(self._carriers[concept][odd])
        others = self._rows(self._others[odd])
        others = others[~self.flags[others, concept]][: len(carriers)]
        carries = np.arange(len(carriers) + len(others)) < len(carriers)
        return Split(np.r_[carriers, others], carries)

    def sums(self, rows: Ints, n_features: int) -> Floats:
        """The sum of every feature's activations over `rows`: [n_features]."""
        entries, _ = self.entries(rows)
        return np.bincount(self.features[entries], self.activations[entries].astype(np.float64), n_features).astype(
            np.float64
        )

    def columns(self, rows: Ints, features: Ints) -> Floats:
        """The activations of a few features: [rows, features]."""
        entries, row_of = self.entries(rows)
        dense = np.zeros((len(rows), len(features)))
        for column, feature in enumerate(features):
            own = self.features[entries] == feature
            dense[row_of[own], column] = self.activations[entries][own]
        return dense

    def _rows(self, positions: Ints) -> Ints:
        """The rows of those `positions` that were read: outliers were not."""
        return np.flatnonzero(np.isin(self.positions, positions, assume_unique=True))

    def entries(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where the firings of `rows` are, and of which of the rows each is."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        row_of = np.repeat(np.arange(len(rows)), lengths)
        before = np.cumsum(lengths) - lengths
        return np.arange(lengths.sum()) - before[row_of] + self.starts[rows][row_of], row_of


def _some(random: np.random.Generator, positions: Ints, wanted: int) -> Ints:
    return positions if len(positions) <= wanted else random.choice(positions, wanted, replace=False)
