"""The rule that says best where a feature fires, found by counting keys in the explaining half of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.explaining.families import NAMED, Family, Keys
from features.explaining.harvest_view import Flags

# A rule is judged by windows of about this many tokens, as people are in a detection test.
WINDOW = 16
FEWEST_FIRINGS = 8
# What one more member of a set costs: a label that lists dozens of tokens is hard to believe.
_COST_PER_MEMBER = 0.01


@dataclass(frozen=True)
class Rule:
    """A set of keys of a family, most firings first; `precision` and `recall` count tokens of the explaining half."""

    family: Family
    keys: tuple[int, ...]
    precision: float
    recall: float
    merit: float

    @property
    def text(self) -> str:
        """The rule in words, with the first members of its set."""
        return self.family.describe(self.family.view, self.keys, NAMED)

    @property
    def whole_text(self) -> str:
        """The rule in words, with all members."""
        return self.family.describe(self.family.view, self.keys, len(self.keys))

    def matches(self, positions: Keys) -> Flags:
        """Whether it expects the feature to fire on each position: [positions] booleans."""
        return np.isin(self.family.keys[positions], np.array(self.keys, np.int64))

    def expects(self, windows: Keys) -> Flags:
        """Whether it holds on any token of each window: [windows] booleans for [windows, tokens] positions or -1."""
        matches = self.matches(np.maximum(windows, 0)) & (windows >= 0)
        expected: Flags = np.any(matches, axis=1)
        return expected


def best_rule(families: Sequence[Family], firings: Keys) -> Rule | None:
    """The best rule for the positions on which a feature fires in the explaining half; None where they are too few."""
    if len(firings) < FEWEST_FIRINGS:
        return None
    found = [rule for family in families if (rule := _rule_of(family, firings)) is not None]
    return max(found, key=lambda rule: rule.merit, default=None)


def _rule_of(family: Family, firings: Keys) -> Rule | None:
    """The set of keys with the best merit among those that take the most telling keys first.

    Merit: what a detection test would give on windows of which half fire, plus a quarter of the F1 over tokens.
    """
    keys, hits = np.unique(family.keys[firings], return_counts=True)
    known, counts = family.known
    occurrences = counts[np.searchsorted(known, keys)]
    tokens, fired = len(family.explaining_keys), len(firings)
    # The share of a key's occurrences on which it fires, drawn towards the feature's own density where they are few.
    density = fired / tokens
    share = (hits + 4 * density) / (occurrences + 4)
    order = np.lexsort((keys, -hits, -share))[: family.members_maximum]
    true = np.cumsum(hits[order])
    false = np.cumsum(occurrences[order]) - true
    recall, precision = true / fired, true / np.maximum(true + false, 1)
    false_share = false / max(1, tokens - fired)
    detected = (recall + (1 - false_share) ** WINDOW) / 2
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    merit = detected + f1 / 4 - _COST_PER_MEMBER * np.arange(len(order)) - family.complexity
    best = int(np.argmax(merit))
    # Named by how much they explain.
    chosen = sorted(order[: best + 1].tolist(), key=lambda row: -hits[row])
    members = tuple(int(keys[row]) for row in chosen)
    return Rule(family, members, float(precision[best]), float(recall[best]), float(merit[best]))
