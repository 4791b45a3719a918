"""The detection test: windows of held-out text, half of which the feature fires in, told apart by a label alone.

Balanced accuracy is the mean of the share of firing windows that are found and of silent ones that are left alone; 0.5
is guessing. Paulo et al. 2024 (arXiv:2410.13928) call it detection scoring. The interval joins the Wilson intervals of
the two shares by Newcombe's method (MOVER, 1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from features.activation_index.text import Positions
from features.density import wilson_interval
from features.explaining.harvest_view import Flags, HarvestView

WINDOWS = 40  # of each sort
FEWEST_WINDOWS = 8
WINDOW_TOKENS = (16, 8, 4, 1)  # a feature that fires often leaves no long window silent
_DRAWS_PER_WINDOW = 12


@dataclass(frozen=True)
class Windows:
    """Held-out windows [windows, tokens] of positions; those of tokens that were not read are -1."""

    firing: Positions
    silent: Positions


@dataclass(frozen=True)
class Detection:
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int

    @property
    def balanced_accuracy(self) -> float:
        return (self._found + self._left_alone) / 2

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        found = wilson_interval(self.true_positives, self.true_positives + self.false_negatives)
        alone = wilson_interval(self.true_negatives, self.true_negatives + self.false_positives)
        down = math.hypot(self._found - found.low, self._left_alone - alone.low) / 2
        up = math.hypot(found.high - self._found, alone.high - self._left_alone) / 2
        return max(0.0, self.balanced_accuracy - down), min(1.0, self.balanced_accuracy + up)

    @property
    def _found(self) -> float:
        return self.true_positives / max(1, self.true_positives + self.false_negatives)

    @property
    def _left_alone(self) -> float:
        return self.true_negatives / max(1, self.true_negatives + self.false_positives)


def draw_windows(view: HarvestView, firings: Positions, random: np.random.Generator) -> Windows | None:
    """Windows of the testing half: as many in which the feature fires as in which it is silent, drawn with a seed.

    `firings`: all positions on which it fires, rising. None where there are fewer than FEWEST_WINDOWS of either.
    """
    held_out = firings[view.tests[firings]]
    if len(held_out) < FEWEST_WINDOWS:
        return None
    fires = np.zeros(len(view.token), np.bool_)
    fires[firings] = True
    places = random.permutation(held_out)[: WINDOWS * _DRAWS_PER_WINDOW]
    for tokens in WINDOW_TOKENS:
        firing = windows_at(view, _one_per_document(view, places), tokens)
        drawn = random.choice(view.test_positions, WINDOWS * _DRAWS_PER_WINDOW)
        around = windows_at(view, drawn, tokens)
        silent = around[~np.any(fires[np.maximum(around, 0)] & (around >= 0), axis=1)]
        if len(silent) >= min(WINDOWS, len(firing)) and len(firing) >= FEWEST_WINDOWS:
            count = min(WINDOWS, len(firing), len(silent))
            return Windows(firing[:count], silent[:count])
    return None


def detect(windows: Windows, expected_firing: Flags, expected_silent: Flags) -> Detection:
    """The counts of a test. `expected_*`: [windows] booleans, whether the label says that the feature fires there."""
    found, alarms = int(np.count_nonzero(expected_firing)), int(np.count_nonzero(expected_silent))
    return Detection(found, len(windows.firing) - found, len(windows.silent) - alarms, alarms)


def _one_per_document(view: HarvestView, places: Positions) -> Positions:
    """The first place of each document, then the others: many documents say more than many places in one."""
    _, first = np.unique(view.document[places], return_index=True)
    chosen = np.zeros(len(places), np.bool_)
    chosen[first] = True
    return np.concatenate([places[chosen], places[~chosen]])[:WINDOWS]


def windows_at(view: HarvestView, places: Positions, tokens: int) -> Positions:
    """Windows of `tokens` positions with each place at three quarters of them; -1 outside its passage."""
    around = places[:, None] + np.arange(tokens) - (3 * tokens) // 4
    inside = np.clip(around, 0, len(view.token) - 1)
    same = (view.passage[inside] == view.passage[places][:, None]) & view.text.read[inside] & (inside == around)
    return np.where(same, around, -1)
