"""Sparse probing: can a concept be read off one, two or five features as well as off the whole hidden state?

Features are chosen by the difference of their mean activations between carriers of the concept and other tokens
(Gurnee et al. 2023, arXiv:2305.01610); a logistic regression is fitted on even documents and its accuracy taken on odd
ones. Both classes are equally large, so guessing gives 0.5. A dense probe of the hidden state stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.engine.logistic import Probe, fit_probe
from experiments.engine.probe_sample import Floats, Ints, SampledTokens, Split

FEATURES_OF_A_PROBE = (1, 2, 5)
# Concepts with fewer carriers in either half are skipped, and counted.
FEWEST_CARRIERS = 10


@dataclass(frozen=True)
class ConceptProbe:
    """What is known of one concept after probing: the features in order of their difference, and the dense probe."""

    fitting: Split
    testing: Split
    features: Ints
    dense: Probe


class Probing:
    """Probes every concept of a sample."""

    def __init__(self, sample: SampledTokens, names: tuple[str, ...], n_features: int) -> None:
        self.sample, self.names, self._n_features = sample, names, n_features
        self.probes: dict[int, ConceptProbe] = {}
        self._rows: list[dict[str, Any]] = []

    def run(self) -> Iterator[int]:
        """Works through the concepts; yields how many are done."""
        for number, name in enumerate(self.names):
            fitting, testing = (self.sample.split(number, odd=odd) for odd in (False, True))
            if min(int(half.carries.sum()) for half in (fitting, testing)) >= FEWEST_CARRIERS:
                self._probe(number, name, fitting, testing)
            yield number + 1

    def summary(self) -> dict[str, Any]:
        """Mean accuracies over the concepts, None without any, and every concept's own."""
        keys = [f"k{k}" for k in FEATURES_OF_A_PROBE] + ["dense"]
        means = {key: float(np.mean([row[key] for row in self._rows])) if self._rows else None for key in keys}
        return means | {"skipped": len(self.names) - len(self._rows), "rows": self._rows}

    def _probe(self, number: int, name: str, fitting: Split, testing: Split) -> None:
        features = strongest_features(self.sample, fitting, self._n_features)
        dense = fit_probe(self._states(fitting), fitting.carries)
        accuracies = {}
        for k in FEATURES_OF_A_PROBE:
            probe = fit_probe(self.sample.columns(fitting.rows, features[:k]), fitting.carries)
            found = probe.finds(self.sample.columns(testing.rows, features[:k]))
            accuracies[f"k{k}"] = float(np.mean(found == testing.carries))
        accuracies["dense"] = float(np.mean(dense.finds(self._states(testing)) == testing.carries))
        self.probes[number] = ConceptProbe(fitting, testing, features, dense)
        self._rows.append({"concept": name, **accuracies, "tested_tokens": len(testing.rows)})

    def _states(self, split: Split) -> Floats:
        return self.sample.states[split.rows].astype(np.float64)


def strongest_features(sample: SampledTokens, split: Split, n_features: int, most: int = 10) -> Ints:
    """The features whose mean activation differs most between carriers and others, the most different first."""
    means = [
        sample.sums(split.rows[split.carries == side], n_features) / max(1, int((split.carries == side).sum()))
        for side in (True, False)
    ]
    return np.argsort(-np.abs(means[0] - means[1]), kind="stable")[:most]
