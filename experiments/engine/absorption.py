"""Absorption: do the features of a parent concept fall silent where a child's feature takes over? (arXiv:2409.14507)

A parent is a planted concept with its words as children, or a broader concept with planted concepts as children. The
rules for tokens are those of SAEBench 0.6 (arXiv:2503.09532), which asks for first letters; those mean little for small
models. What is projected on the probe is x - b_dec, which is what features explain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.engine.document_sums import DocumentSums, intervals_of
from experiments.engine.logistic import fit_probe
from experiments.engine.probe_sample import Bools, Floats, Ints, SampledTokens
from experiments.engine.probing import ConceptProbe

FEWEST_TOKENS = 10  # found by the probe, of a child; a parent has as many, and at least one child
LARGEST_CHILD = 0.8  # the share of the parent's tokens that may be the child's
LEAST_GAIN = 0.03  # of F1, for one more feature to count as a main feature of the parent
LEAST_PROBE_F1 = 0.6
SILENT = 1e-8
LEAST_SHARE = 0.4  # of the probe's projection, for what absorbs it
LEAST_COSINE = 0.025  # with the probe, of the one feature that absorbs a token fully
LEAST_COSINE_OF_SEVERAL, MOST_ABSORBERS = 0.1, 3


@dataclass(frozen=True)
class Parent:
    """A concept (column of the sample's flags), its probe, and its children: which tokens of the sample each has."""

    name: str
    concept: int
    probe: ConceptProbe
    children: Mapping[str, Bools]


@dataclass(frozen=True)
class Absorbed:
    """Of tokens that the parent's probe finds: is each fully absorbed, and which fraction of it."""

    rows: Ints
    fully: Bools
    fraction: Floats

    def numbers(self, chosen: Bools) -> dict[str, Any]:
        share, fraction = (float(values[chosen].mean()) for values in (self.fully, self.fraction))
        return {"tokens": int(chosen.sum()), "share": share, "fraction": fraction}


class Absorption:
    """Looks at every parent with the probes that sparse probing fits."""

    def __init__(self, sample: SampledTokens, decoder: Floats, decoder_bias: Floats) -> None:
        """`decoder` [N, width] has rows of any length."""
        self._sample, self._decoder, self._bias = sample, decoder, decoder_bias
        self._lengths = np.maximum(np.linalg.norm(decoder, axis=1), 1e-12)
        self._rows: list[dict[str, Any]] = []
        self._sums: list[Tensor] = []  # of each parent: [documents, (found, fully absorbed, fraction)]

    def look_at(self, parent: Parent) -> None:
        """Adds a parent; one whose probe does not find it, or that has no child to look at, is left out."""
        if _f1(self._finds(parent.probe, parent.probe.testing.rows), parent.probe.testing.carries) < LEAST_PROBE_F1:
            return
        main = self.main_features(parent.probe)
        found = self.absorbed(parent, main)
        children = []
        for name, carries in parent.children.items():
            own = carries[found.rows]
            if FEWEST_TOKENS <= own.sum() <= LARGEST_CHILD * len(own):
                children.append({"child": name, **found.numbers(own)})
        if children:
            everything = found.numbers(np.ones(len(found.rows), bool))
            self._rows.append({"parent": parent.name, "features": main.tolist(), **everything, "children": children})
            self._sums.append(self._by_document(found))

    def summary(self) -> dict[str, Any]:
        """Means over parents of the shares of their tokens, None where there is none to look at."""
        means = {
            name: float(np.mean([row[name] for row in self._rows])) if self._rows else None
            for name in ("share", "fraction")
        }
        return means | {"hierarchies": sum(len(row["children"]) for row in self._rows), "rows": self._rows}

    def intervals(self) -> dict[str, list[float]]:
        """95% intervals of the two means over the documents."""
        return intervals_of(torch.stack(self._sums, 1).flatten(1), _means) if self._sums else {}

    def main_features(self, probe: ConceptProbe) -> Ints:
        """The features that the parent's k-sparse probes need: one more as long as F1 gains LEAST_GAIN."""
        reached, kept = 0.0, 1
        for k in range(1, len(probe.features) + 1):
            columns = self._sample.columns(probe.fitting.rows, probe.features[:k])
            found = _f1(fit_probe(columns, probe.fitting.carries).finds(columns), probe.fitting.carries)
            if k > 1 and found < reached + LEAST_GAIN:
                break
            reached, kept = found, k
        return probe.features[:kept]

    def absorbed(self, parent: Parent, main: Ints) -> Absorbed:
        """What becomes of the sampled tokens of the parent, in the documents that nothing was fitted on."""
        rows = np.flatnonzero(self._sample.odd & self._sample.flags[:, parent.concept])
        rows = rows[self._finds(parent.probe, rows)]
        direction = parent.probe.dense.direction
        projection = (self._sample.states[rows] - self._bias) @ direction
        entries, token = self._sample.entries(rows)
        features, activations = self._sample.features[entries], self._sample.activations[entries].astype(np.float64)
        along = self._decoder @ direction
        contribution = activations * along[features]
        cosine = (along / self._lengths)[features] / np.linalg.norm(direction)
        is_main = np.isin(features, main)
        silent = _summed(token, is_main & (activations >= SILENT), len(rows)) == 0
        rank = _rank_within(token, contribution)
        top = (rank == 0) & (cosine >= LEAST_COSINE)
        alone = _summed(token, contribution * top, len(rows))
        fully = silent & (projection > 0) & (alone > 0) & (alone >= LEAST_SHARE * projection)
        candidate = ~is_main & (cosine >= LEAST_COSINE_OF_SEVERAL) & (contribution > 0)
        among = np.where(candidate, contribution, 0.0)
        several = _summed(token, among * (_rank_within(token, among) < MOST_ABSORBERS), len(rows))
        by_main = _summed(token, contribution * is_main, len(rows))
        return Absorbed(rows, fully, absorbed_fraction(projection, by_main, several))

    def _finds(self, probe: ConceptProbe, rows: Ints) -> Bools:
        return probe.dense.finds(self._sample.states[rows].astype(np.float64))

    def _by_document(self, found: Absorbed) -> Tensor:
        sums = DocumentSums(3)
        documents = np.unique(self._sample.documents)
        sums.add(documents, torch.zeros(len(documents), 3))  # the same rows in the same order for every parent
        values = np.stack([np.ones(len(found.rows)), found.fully, found.fraction], 1)
        sums.add(self._sample.documents[found.rows], torch.from_numpy(values))
        return sums.rows


def absorbed_fraction(projection: Floats, by_main: Floats, by_absorbers: Floats) -> Floats:
    """Of each token [n], the part of the probe's projection that absorbers carry in the place of main features.

    0 where the main features carry all of it, or the absorbers less than LEAST_SHARE; 1 where the main features carry
    nothing. The absorbers get no more than what the main features leave.
    """
    taken = (by_main < projection) & (projection > 0) & (by_absorbers >= LEAST_SHARE * projection)
    main = np.maximum(by_main, 0.0)
    absorbed = np.minimum(by_absorbers, projection - main)
    return np.where(taken, absorbed / np.where(taken, absorbed + main, 1.0), 0.0)


def _summed(group: Ints, values: Floats | Bools, groups: int) -> Floats:
    """The sum of the values of each of `groups` groups."""
    return np.bincount(group, values, groups).astype(np.float64)


def _rank_within(group: Ints, values: Floats) -> Ints:
    """The rank of each value among those of its group, 0 for the largest; `group` [n] is rising."""
    order = np.lexsort((-values, group))
    ranks = np.empty(len(group), np.int64)
    ranks[order] = np.arange(len(group)) - np.searchsorted(group, group)
    return ranks


def _means(sums: Tensor) -> dict[str, Tensor]:
    found, fully, fraction = sums.reshape(*sums.shape[:-1], -1, 3).unbind(-1)
    return {"absorption": (fully / found).nanmean(-1), "absorption_fraction": (fraction / found).nanmean(-1)}


def _f1(found: Bools, carries: Bools) -> float:
    return 2 * int((found & carries).sum()) / max(1, int(found.sum()) + int(carries.sum()))
