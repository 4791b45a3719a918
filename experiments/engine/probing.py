"""Sparse probing: can a concept be read off one, two or five features as well as off the whole hidden state?

Features are chosen by the difference of their mean activations between carriers of the concept and other tokens
(Gurnee et al. 2023, arXiv:2305.01610); a logistic regression is fitted on even documents and its accuracy taken on odd
ones. Both classes are equally large, so guessing gives 0.5. A dense probe of the hidden state stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.engine.document_sums import DocumentSums, intervals_of
from experiments.engine.logistic import Probe, fit_probe
from experiments.engine.probe_sample import Floats, Ints, SampledTokens, Split

FEATURES_OF_A_PROBE = (1, 2, 5)
PROBES = (*(f"k{k}" for k in FEATURES_OF_A_PROBE), "dense")
# Concepts with fewer carriers in either half are skipped, and counted.
FEWEST_CARRIERS = 10


@dataclass(frozen=True)
class ConceptProbe:
    """What is known of one concept after probing: the features in order of their difference, and the dense probe."""

    fitting: Split
    testing: Split
    features: Ints
    dense: Probe


def probe_concept(sample: SampledTokens, concept: int, n_features: int) -> ConceptProbe | None:
    """Probes one concept (column of the sample's flags); None where too few tokens carry it."""
    fitting, testing = (sample.split(concept, odd=odd) for odd in (False, True))
    if min(int(half.carries.sum()) for half in (fitting, testing)) < FEWEST_CARRIERS:
        return None
    dense = fit_probe(_states(sample, fitting), fitting.carries)
    return ConceptProbe(fitting, testing, strongest_features(sample, fitting, n_features), dense)


class Probing:
    """The accuracies of probes, concept by concept."""

    def __init__(self, sample: SampledTokens) -> None:
        self._sample, self._skipped = sample, 0
        self._rows: list[dict[str, Any]] = []
        self._sums: list[Tensor] = []  # of each concept: [documents, (tokens, right ones of each of PROBES)]

    def add(self, name: str, probe: ConceptProbe | None) -> None:
        """Tests the probe of a concept; None is counted as skipped."""
        if probe is None:
            self._skipped += 1
            return
        right = self._right(probe)
        accuracies = dict(zip(PROBES, right.mean(0).tolist(), strict=True))
        self._rows.append({"concept": name, **accuracies, "tested_tokens": len(right)})
        self._sums.append(self._by_document(probe, right))

    def summary(self) -> dict[str, Any]:
        """Mean accuracies over the concepts, None without any, and every concept's own."""
        means = {key: float(np.mean([row[key] for row in self._rows])) if self._rows else None for key in PROBES}
        return means | {"skipped": self._skipped, "rows": self._rows}

    def intervals(self) -> dict[str, list[float]]:
        """The 95% interval of the mean accuracy with one feature, over the documents."""
        return intervals_of(torch.stack(self._sums, 1).flatten(1), _mean_accuracies) if self._sums else {}

    def _right(self, probe: ConceptProbe) -> Floats:
        """Which test tokens each of PROBES is right about: [tokens, probes]."""
        sample, fitting, testing = self._sample, probe.fitting, probe.testing
        found = []
        for k in FEATURES_OF_A_PROBE:
            few = fit_probe(sample.columns(fitting.rows, probe.features[:k]), fitting.carries)
            found.append(few.finds(sample.columns(testing.rows, probe.features[:k])))
        found.append(probe.dense.finds(_states(sample, testing)))
        return np.stack([one == testing.carries for one in found], 1).astype(np.float64)

    def _by_document(self, probe: ConceptProbe, right: Floats) -> Tensor:
        sums = DocumentSums(1 + len(PROBES))
        documents = np.unique(self._sample.documents)
        sums.add(documents, torch.zeros(len(documents), 1 + len(PROBES)))  # the same rows for every concept
        values = torch.from_numpy(np.c_[np.ones(len(right)), right])
        sums.add(self._sample.documents[probe.testing.rows], values)
        return sums.rows


def strongest_features(sample: SampledTokens, split: Split, n_features: int, most: int = 10) -> Ints:
    """The features whose mean activation differs most between carriers and others, the most different first."""
    means = [
        sample.sums(split.rows[split.carries == side], n_features) / max(1, int((split.carries == side).sum()))
        for side in (True, False)
    ]
    return np.argsort(-np.abs(means[0] - means[1]), kind="stable")[:most]


def _states(sample: SampledTokens, split: Split) -> Floats:
    return sample.states[split.rows].astype(np.float64)


def _mean_accuracies(sums: Tensor) -> dict[str, Tensor]:
    of = sums.reshape(*sums.shape[:-1], -1, 1 + len(PROBES))
    return {"probing": (of[..., 1] / of[..., 0]).nanmean(-1)}
