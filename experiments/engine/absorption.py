"""Absorption: does the feature of a parent concept fall silent where a child's feature takes over? (arXiv:2409.14507)

Which concepts are parent and child is read off the text: nearly every token of the child carries the parent too, and
the parent is clearly more frequent. The rules for absorbed tokens are SAEBench's, on planted concepts in place of first
letters, which mean little for small models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.engine.logistic import Probe, fit_probe
from experiments.engine.probe_sample import Bools, Floats, Ints
from experiments.engine.probing import ConceptProbe, Probing

INSIDE_PARENT = 0.99  # the share of the child's tokens that carry the parent
LARGEST_CHILD = 0.8  # the share of the parent's tokens that may be the child's
FEWEST_TOKENS = 20
LEAST_GAIN = 0.03  # of F1, for one more feature to count as a main feature of the parent
LEAST_PROBE_F1 = 0.6
SILENT = 1e-8
LEAST_COSINE, LEAST_SHARE = 0.025, 0.4  # of the absorbing feature: with the probe, and of the probe's projection


def hierarchies_of(flags: Bools) -> list[tuple[int, int]]:
    """(parent, child) of all concepts whose tokens in `flags` [tokens, concepts] lie inside those of another."""
    together = flags.T.astype(np.float32) @ flags.astype(np.float32)
    tokens = np.diag(together)
    inside = together >= INSIDE_PARENT * tokens[None, :]
    smaller = tokens[None, :] <= LARGEST_CHILD * tokens[:, None]
    found = inside & smaller & (tokens >= FEWEST_TOKENS)[None, :]
    return [(int(parent), int(child)) for parent, child in np.argwhere(found)]


class Absorption:
    """Looks at every hierarchy with the probes that sparse probing left."""

    def __init__(self, probing: Probing, decoder: Floats, decoder_bias: Floats) -> None:
        """`decoder` [N, width] has rows of any length."""
        self._probing, self._sample = probing, probing.sample
        self._decoder, self._bias = decoder, decoder_bias

    def summary(self, hierarchies: list[tuple[int, int]]) -> dict[str, Any]:
        """`share` is the mean over hierarchies, None where there is none to look at."""
        names = self._probing.names
        rows = []
        for parent, child in hierarchies:
            probe = self._probing.probes.get(parent)
            if probe is not None and _f1(self._finds(probe), probe.testing.carries) >= LEAST_PROBE_F1:
                looked, absorbed = self._count(probe, parent, child)
                share = absorbed / looked if looked else 0.0
                rows.append({"parent": names[parent], "child": names[child], "tokens": looked, "share": share})
        mean = float(np.mean([row["share"] for row in rows])) if rows else None
        return {"share": mean, "hierarchies": len(hierarchies), "rows": rows}

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

    def _finds(self, probe: ConceptProbe) -> Bools:
        return probe.dense.finds(self._sample.states[probe.testing.rows].astype(np.float64))

    def _count(self, probe: ConceptProbe, parent: int, child: int) -> tuple[int, int]:
        """Tokens of the child that the parent's dense probe finds, and how many of them are absorbed."""
        sample = self._sample
        rows = np.flatnonzero(sample.odd & sample.flags[:, parent] & sample.flags[:, child])
        rows = rows[probe.dense.finds(sample.states[rows].astype(np.float64))]
        silent = (sample.columns(rows, self.main_features(probe)) < SILENT).all(1)
        along = self._decoder @ probe.dense.direction
        return len(rows), sum(self._is_absorbed(row, probe.dense, along) for row in rows[silent])

    def _is_absorbed(self, row: int, probe: Probe, along: Floats) -> bool:
        """Does one feature carry enough of the probe's projection? `along` [N] is decoder @ direction."""
        entries = slice(self._sample.starts[row], self._sample.starts[row + 1])
        features = self._sample.features[entries]
        projection = float((self._sample.states[row] - self._bias) @ probe.direction)
        if len(features) == 0 or projection <= 0:
            return False
        contributions = self._sample.activations[entries] * along[features]
        top = int(np.argmax(contributions))
        cosine = along[features[top]] / (np.linalg.norm(probe.direction) * np.linalg.norm(self._decoder[features[top]]))
        return bool(cosine >= LEAST_COSINE and contributions[top] >= LEAST_SHARE * projection)


def _f1(found: Bools, carries: Bools) -> float:
    return 2 * int((found & carries).sum()) / max(1, int(found.sum()) + int(carries.sum()))
