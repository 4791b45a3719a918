"""What can be counted about one feature: firings, documents, tokens, places in the window. Every count is exact."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from experiments.engine.feature_statistics import distinct
from experiments.engine.feature_statistics import histogram as log_histogram
from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings
from features.activation_index.passages import text_for
from features.activation_index.text import text_of
from features.density import Interval, wilson_interval


@dataclass(frozen=True)
class Counts:
    """On how many of the `tokens` that the SAE read a feature fires, and in how many documents."""

    tokens: int
    firings: int
    documents: int

    @property
    def density(self) -> float:
        return self.firings / self.tokens if self.tokens else 0.0

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the density."""
        return wilson_interval(self.firings, self.tokens)


@dataclass(frozen=True)
class Histogram:
    """Counts of the activations above zero between n + 1 edges that are even on a logarithmic axis."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    silent: int  # tokens with activation 0


@dataclass(frozen=True)
class TokenUse:
    """How often a feature fires on one token: `share` of its firings, `recall` of the token's `occurrences`."""

    token: int
    text: str
    firings: int
    share: float
    occurrences: int
    recall: float


@dataclass(frozen=True)
class WindowBin:
    """How often a feature fires at the offsets first <= offset <= last in a window, of so many tokens read there."""

    first: int
    last: int
    firings: int
    tokens: int

    @property
    def density(self) -> float:
        return self.firings / self.tokens if self.tokens else 0.0


def counts(files: IndexFiles, firings: Firings) -> Counts:
    text = text_of(files)
    documents = distinct(text.document_at(firings.positions))
    return Counts(text.tokens_read, len(firings), len(documents))


def histogram(files: IndexFiles, firings: Firings) -> Histogram:
    found = log_histogram(firings.activations[::-1])
    return Histogram(tuple(found["edges"]), tuple(found["counts"]), text_of(files).tokens_read - len(firings))


def tokens_fired_on(files: IndexFiles, firings: Firings, limit: int) -> list[TokenUse]:
    """The tokens on which it fires most often, of equal ones the one with the smaller id."""
    text, vocabulary = text_of(files), files.vocabulary()
    fired = np.bincount(text.tokens[firings.positions], minlength=1)
    most = np.argsort(-fired, kind="stable")[:limit]
    return [
        TokenUse(
            token,
            text_for(vocabulary, token),
            int(fired[token]),
            int(fired[token]) / len(firings),
            int(text.occurrences[token]),
            int(fired[token]) / int(text.occurrences[token]),
        )
        for token in most[fired[most] > 0].tolist()
    ]


def window_bins(files: IndexFiles, firings: Firings, bins: int) -> list[WindowBin]:
    """At most `bins` ranges of offsets, equally wide where the length of a window allows it."""
    text = text_of(files)
    fired = np.bincount(firings.positions % text.context_length, minlength=text.context_length)
    bounds = np.linspace(0, text.context_length, min(bins, text.context_length) + 1).round().astype(int).tolist()
    return [
        WindowBin(first, stop - 1, int(fired[first:stop].sum()), int(text.read_at_offset[first:stop].sum()))
        for first, stop in itertools.pairwise(bounds)
    ]
