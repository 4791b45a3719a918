"""Explains and tests the features of an index one after another, by counting alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.activation_index import ActivationIndex
from features.activation_index.firings import firings_of_range
from features.activation_index.text import Positions
from features.explaining.agreement import Agreement, agreement_of
from features.explaining.detection import Detection, detect, draw_windows
from features.explaining.families import Family, families_of
from features.explaining.harvest_view import HarvestView
from features.explaining.rules import Rule, best_rule

ACTIVATIONS_AT_ONCE = 4_000_000
SEED = 20_240_913


@dataclass(frozen=True)
class Explanation:
    """What a feature seems to fire on, and how it did on held-out text; `problem` says why there is neither.

    `agreements`: with the planted concepts that the feature recovers, where such are known.
    """

    feature: int
    text: str = ""
    note: str = ""
    detection: Detection | None = None
    problem: str = ""
    agreements: tuple[Agreement, ...] = ()


class Explainer:
    """Explains features of one index. Raises IndexUnavailable when it is made.

    `planted`: for each feature that recovers planted concepts, the positions that carry each of these.
    """

    def __init__(self, index: ActivationIndex) -> None:
        self._files = index.files
        self.planted: Mapping[int, Mapping[str, Positions]] = {}
        self.view = HarvestView.of(index.files)
        self._families: list[Family] = families_of(self.view)

    def explain_all(self, features: Sequence[tuple[int, int]]) -> Iterator[Explanation]:
        """An explanation of each of the (index, firings), which rise by index, in memory that is bounded."""
        for chunk in _chunks(features):
            firings = firings_of_range(self._files, chunk[0], chunk[-1])
            for feature in chunk:
                found = firings.get(feature)
                yield self.explain(feature, np.empty(0, np.int64) if found is None else found.rising)

    def explain(self, feature: int, firings: Positions) -> Explanation:
        """`firings`: the positions on which it fires, rising."""
        firings = firings[: np.searchsorted(firings, len(self.view.token))]
        rule = best_rule(self._families, firings[self.view.explains[firings]])
        if rule is None:
            return Explanation(feature, problem="It fires too seldom in the half of the text that explains.")
        agreements = self._agreements(feature, rule)
        windows = draw_windows(self.view, firings, np.random.default_rng([SEED, feature]))
        if windows is None:
            problem = "There is too little text to test on."
            return Explanation(feature, _short(rule.text), _note(rule), problem=problem, agreements=agreements)
        detection = detect(windows, rule.expects(windows.firing), rule.expects(windows.silent))
        return Explanation(feature, _short(rule.text), _note(rule), detection, agreements=agreements)

    def _agreements(self, feature: int, rule: Rule) -> tuple[Agreement, ...]:
        planted = self.planted.get(feature, {})
        found = [agreement_of(self.view, rule, *concept, [SEED, feature]) for concept in planted.items()]
        return tuple(agreement for agreement in found if agreement is not None)


def _note(rule: Rule) -> str:
    return (
        f"Found by counting ({rule.family.name}, {len(rule.keys)} in the set), on the documents with even numbers: it "
        f"fires on {rule.precision:.0%} of the tokens that the label means, and they are {rule.recall:.0%} of its "
        f"firings. Tested on the documents with odd numbers.\nThe whole set: {rule.whole_text}."
    )


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"


def _chunks(features: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    chunk: list[int] = []
    activations = 0
    for feature, firings in features:
        if chunk and activations + firings > ACTIVATIONS_AT_ONCE:
            yield chunk
            chunk, activations = [], 0
        chunk.append(feature)
        activations += firings
    if chunk:
        yield chunk
