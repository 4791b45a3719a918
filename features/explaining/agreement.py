"""Does a label found by counting tell what was planted? Its rule against the truth about held-out tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.activation_index.text import Positions
from features.explaining.detection import Detection, detect, draw_windows
from features.explaining.harvest_view import HarvestView
from features.explaining.rules import Rule


@dataclass(frozen=True)
class Agreement:
    """`detection`: held-out windows with and without the concept, told apart by the rule.

    `precision` and `recall` count held-out tokens: of those that the rule means, and of those that carry the concept.
    """

    concept: str
    detection: Detection
    precision: float
    recall: float


def agreement_of(view: HarvestView, rule: Rule, concept: str, carrying: Positions, seed: list[int]) -> Agreement | None:
    """`carrying`: the positions that carry the concept, rising. None where too few of them are held out."""
    windows = draw_windows(view, carrying, np.random.default_rng(seed))
    if windows is None:
        return None
    meant = view.test_positions[rule.matches(view.test_positions)]
    held_out = carrying[view.tests[carrying]]
    both = len(np.intersect1d(meant, held_out, assume_unique=True))
    return Agreement(
        concept,
        detect(windows, rule.expects(windows.firing), rule.expects(windows.silent)),
        precision=both / max(1, len(meant)),
        recall=both / max(1, len(held_out)),
    )
