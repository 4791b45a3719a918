"""Did the SAE find what was planted? Precision, recall and F1 of features against the concepts of a known corpus.

A concept is found by a feature above a threshold, or by the union (OR) of at most five such features, since an SAE may
split one concept over several features. Features, thresholds and sets are chosen on the fitting half of the held-out
documents; every score is from the other half. Everything works on the sparse firings, never on tokens x features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.builtin.concepts import FOUND_F1
from experiments.engine.document_sums import DocumentSums, intervals_of

LARGEST_SET = 5
# Only the features with the best F1 by themselves are tried as members of a set.
SET_CANDIDATES = 64

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Firings:
    """Firings of some tokens, sorted by feature and then by falling activation: three arrays of equal length."""

    features: Ints
    tokens: Ints  # row of the concept flags
    activations: NDArray[np.float32]

    def of(self, features: Ints) -> Firings:
        """Those of the given features."""
        return self.where(np.isin(self.features, features))

    def where(self, chosen: Bools) -> Firings:
        return Firings(self.features[chosen], self.tokens[chosen], self.activations[chosen])


@dataclass(frozen=True)
class Detector:
    """A feature that fires at or above a threshold."""

    feature: int
    threshold: float


@dataclass(frozen=True)
class Score:
    """How well a detector or a set of them finds a concept."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class BestThresholds:
    """For each of `features` the threshold with the best F1 against one concept, and that F1."""

    features: Ints
    thresholds: NDArray[np.float32]
    f1: Floats


def sort_firings(features: Ints, tokens: Ints, activations: NDArray[np.float32]) -> Firings:
    """Brings firings in any order into the order that Firings promises."""
    order = np.lexsort((tokens, -activations, features))
    return Firings(features[order], tokens[order], activations[order])


def best_thresholds(firings: Firings, carries: Bools, covered: Bools | None = None) -> BestThresholds:
    """The best threshold of every feature in `firings` against the concept that `carries` [tokens] marks.

    With `covered` [tokens] the score is that of the union of those tokens and the feature's firings.
    """
    hits_before, fired_before = 0, 0
    if covered is not None:
        firings = firings.where(~covered[firings.tokens])
        hits_before, fired_before = _count(covered & carries), _count(covered)
    if len(firings.features) == 0:
        return BestThresholds(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0))
    starts = np.flatnonzero(np.r_[True, np.diff(firings.features) != 0])
    lengths = np.diff(np.r_[starts, len(firings.features)])
    hits = np.cumsum(carries[firings.tokens], dtype=np.int64)
    hits -= np.repeat(hits[starts] - carries[firings.tokens[starts]], lengths)  # counted within each feature
    fired = np.arange(len(hits)) - np.repeat(starts, lengths) + 1
    f1 = 2 * (hits_before + hits) / (fired_before + fired + np.count_nonzero(carries))
    same = (np.diff(firings.activations) == 0) & (np.diff(firings.features) == 0)
    f1[np.flatnonzero(same)] = -1  # a threshold lets all equal activations fire, so only the last of them counts
    best = np.maximum.reduceat(f1, starts)
    at_best = np.flatnonzero(f1 == np.repeat(best, lengths))
    where = at_best[np.searchsorted(at_best, starts)]  # the first, so the highest threshold, of each feature
    return BestThresholds(firings.features[starts], firings.activations[where], best)


def choose_set(firings: Firings, carries: Bools, alone: BestThresholds) -> list[Detector]:
    """The best single detector, and then up to four more as long as each raises the F1 of the union. May be empty.

    `alone` is what `best_thresholds` says of the same firings and concept.
    """
    strongest = np.argsort(-alone.f1, kind="stable")[:SET_CANDIDATES]
    candidates = firings.of(alone.features[strongest])
    covered = np.zeros(len(carries), dtype=bool)
    chosen: list[Detector] = []
    reached = 0.0
    while len(chosen) < LARGEST_SET:
        found = best_thresholds(candidates, carries, covered)
        if len(found.f1) == 0 or found.f1.max() <= reached:
            break
        best = int(np.argmax(found.f1))
        chosen.append(Detector(int(found.features[best]), float(found.thresholds[best])))
        reached = float(found.f1[best])
        covered |= fired_by(chosen[-1:], candidates, len(carries))
    return chosen


def fired_by(detectors: list[Detector], firings: Firings, tokens: int) -> Bools:
    """The tokens on which any of the detectors fires: [tokens]."""
    fired = np.zeros(tokens, dtype=bool)
    for detector in detectors:
        start, stop = np.searchsorted(firings.features, [detector.feature, detector.feature + 1])
        above = firings.activations[start:stop] >= np.float32(detector.threshold)
        fired[firings.tokens[start:stop][above]] = True
    return fired


def score(fired: Bools, carries: Bools) -> Score:
    """Precision, recall and F1 of `fired` [tokens] against `carries` [tokens]; 0 where there is nothing to count."""
    return _score(_count(fired & carries), _count(fired), _count(carries))


def _count(flags: Bools) -> int:
    return int(np.count_nonzero(flags))


def _score(hits: int, fired: int, carried: int) -> Score:
    return Score(hits / max(1, fired), hits / max(1, carried), 2 * hits / max(1, fired + carried))


@dataclass(frozen=True)
class HeldOutFirings:
    """All firings on held-out tokens, with each token's document and concepts.

    `firings.tokens` are rows of `documents` [tokens] and `flags` [tokens, concepts].
    """

    firings: Firings
    documents: NDArray[np.int32]
    flags: Bools


@dataclass(frozen=True)
class _Half:
    firings: Firings
    flags: Bools


class ConceptRecovery:
    """Chooses on the documents with even numbers and scores on those with odd ones."""

    def __init__(
        self, held_out: HeldOutFirings, names: tuple[str, ...], titles: dict[str, str], n_features: int
    ) -> None:
        scoring = held_out.documents % 2 == 1
        self.fitting, self.scored = _half(held_out, ~scoring), _half(held_out, scoring)
        self.names, self.titles = names, titles
        self.rows: list[dict[str, Any]] = []
        self._scored_documents = held_out.documents[scoring]
        self._sums: list[Tensor] = []  # of each concept: [documents, (carried, fired and hits of one, and of the set)]
        self._best_f1 = np.zeros(n_features)
        self._best_concept = np.full(n_features, -1)
        self._best_threshold = np.zeros(n_features, dtype=np.float32)

    def run(self) -> Iterator[int]:
        """Works through the concepts; yields how many are done."""
        for number, name in enumerate(self.names):
            self.rows.append(self._row(number, name))
            yield number + 1

    def summary(self) -> dict[str, Any]:
        """The `concepts` part of the quality numbers."""
        return {
            "single_share_f1_80": self._share_found("f1"),
            "set_share_f1_80": self._share_found("set_f1"),
            "fitted_tokens": len(self.fitting.flags),
            "scored_tokens": len(self.scored.flags),
            "rows": self.rows,
        }

    def intervals(self) -> dict[str, list[float]]:
        """95% intervals of the two shares over the scored documents; what was chosen on the others stays."""
        return intervals_of(torch.stack(self._sums, 1).flatten(1), _shares_found) if self._sums else {}

    def by_feature(self) -> dict[int, dict[str, Any]]:
        """For every feature that fires on some concept: the one it finds best, with its scores on the scoring half."""
        firings = self.scored.firings
        concept = self._best_concept[firings.features]
        counted = (concept >= 0) & (firings.activations >= self._best_threshold[firings.features])
        features, tokens = firings.features[counted], firings.tokens[counted]
        n_features = len(self._best_f1)
        fired = np.bincount(features, minlength=n_features)
        hits = np.bincount(features[self.scored.flags[tokens, concept[counted]]], minlength=n_features)
        carried = np.count_nonzero(self.scored.flags, axis=0)
        return {
            int(feature): {"name": self.names[self._best_concept[feature]]}
            | _score(hits[feature], fired[feature], carried[self._best_concept[feature]]).__dict__
            for feature in np.flatnonzero(self._best_concept >= 0)
        }

    def _row(self, number: int, name: str) -> dict[str, Any]:
        alone = best_thresholds(self.fitting.firings, self.fitting.flags[:, number])
        self._note_best_features(number, alone)
        detectors = choose_set(self.fitting.firings, self.fitting.flags[:, number], alone)
        carries = self.scored.flags[:, number]
        one, several = (fired_by(chosen, self.scored.firings, len(carries)) for chosen in (detectors[:1], detectors))
        self._sums.append(self._by_document(carries, one, several))
        single, union = score(one, carries), score(several, carries)
        return {
            "concept": name,
            "title": self.titles[name],
            "tokens": _count(carries),
            "feature": detectors[0].feature if detectors else None,
            "threshold": detectors[0].threshold if detectors else None,
            "precision": single.precision,
            "recall": single.recall,
            "f1": single.f1,
            "set": [detector.feature for detector in detectors],
            "set_precision": union.precision,
            "set_recall": union.recall,
            "set_f1": union.f1,
        }

    def _by_document(self, carries: Bools, one: Bools, several: Bools) -> Tensor:
        sums = DocumentSums(5)
        counted = (carries, one, one & carries, several, several & carries)
        sums.add(self._scored_documents, torch.from_numpy(np.stack(counted, 1)))
        return sums.rows

    def _note_best_features(self, number: int, found: BestThresholds) -> None:
        better = found.f1 > self._best_f1[found.features]
        features = found.features[better]
        self._best_f1[features] = found.f1[better]
        self._best_concept[features] = number
        self._best_threshold[features] = found.thresholds[better]

    def _share_found(self, number: str) -> float:
        return len([row for row in self.rows if row[number] >= FOUND_F1]) / max(1, len(self.rows))


def _shares_found(sums: Tensor) -> dict[str, Tensor]:
    carried, one, hits_of_one, several, hits_of_several = sums.reshape(*sums.shape[:-1], -1, 5).unbind(-1)
    pairs = {"concepts_single": (one, hits_of_one), "concepts_set": (several, hits_of_several)}
    return {
        name: (2 * hits / (fired + carried).clamp_min(1) >= FOUND_F1).double().mean(-1)
        for name, (fired, hits) in pairs.items()
    }


def _half(held_out: HeldOutFirings, chosen: Bools) -> _Half:
    """The firings on the `chosen` tokens, with tokens numbered anew."""
    renumbered = np.cumsum(chosen) - 1
    firings = held_out.firings.where(chosen[held_out.firings.tokens])
    return _Half(Firings(firings.features, renumbered[firings.tokens], firings.activations), held_out.flags[chosen])
