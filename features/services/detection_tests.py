"""A label as a claim that a person tests: held-out windows without heat, half of which the feature fires in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import transaction

from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex
from features.activation_index.firings import firings_of
from features.explaining.detection import Detection, draw_windows
from features.explaining.harvest_view import HarvestView
from features.models import DetectionTest, Feature, Label
from features.services.labels import Author
from latentlens.lib.problems import Conflict

WINDOWS_OF_EACH_SORT = 8
# Documents of the examples that the feature's page shows: who has read them has seen the answer.
EXAMPLES_SHOWN = 10


@dataclass(frozen=True)
class BlindToken:
    text: str
    activation: float


@dataclass(frozen=True)
class BlindWindow:
    """One window of the test; `fires` is the answer."""

    number: int
    tokens: tuple[BlindToken, ...]
    fires: bool


def blind_windows(feature: Feature, seed: int) -> list[BlindWindow]:
    """The windows of the test with this seed, in the order to show them. Raises `Conflict`, or IndexUnavailable."""
    index = ActivationIndex(experiment_folder(feature.experiment_id))
    view = HarvestView.of(index.files)
    firings = firings_of(index.files, feature.index)
    seen = {example.document for example in index.examples(feature.index, count=EXAMPLES_SHOWN).items}
    random = np.random.default_rng([seed, feature.index])
    drawn = draw_windows(view.without(seen), firings.rising[: np.searchsorted(firings.rising, len(view.token))], random)
    if drawn is None:
        raise Conflict("There is too little held-out text on which this feature fires, or is silent, to test a label.")
    rows = [(window, True) for window in drawn.firing[:WINDOWS_OF_EACH_SORT]]
    rows += [(window, False) for window in drawn.silent[: len(rows)]]
    order = random.permutation(len(rows))
    shown = [(rows[row][0][rows[row][0] >= 0], rows[row][1]) for row in order]
    return [
        BlindWindow(
            number,
            tuple(
                BlindToken(view.vocabulary[view.text.tokens[position]], float(activation))
                for position, activation in zip(positions, firings.activation_at(positions), strict=True)
            ),
            fires,
        )
        for number, (positions, fires) in enumerate(shown)
    ]


@transaction.atomic
def record_test(
    label: Label, windows: list[BlindWindow], expected: set[int], seed: int, author: Author
) -> DetectionTest:
    """Stores how the windows (by number) that a person expects to fire compare with those that do."""
    counts = Detection(
        true_positives=sum(window.fires and window.number in expected for window in windows),
        false_negatives=sum(window.fires and window.number not in expected for window in windows),
        true_negatives=sum(not window.fires and window.number not in expected for window in windows),
        false_positives=sum(not window.fires and window.number in expected for window in windows),
    )
    low, high = counts.interval
    Label.objects.filter(pk=label.pk).update(score=counts.balanced_accuracy)
    return DetectionTest.objects.create(
        label=label,
        label_version=label.version,
        true_positives=counts.true_positives,
        false_negatives=counts.false_negatives,
        true_negatives=counts.true_negatives,
        false_positives=counts.false_positives,
        balanced_accuracy=counts.balanced_accuracy,
        low=low,
        high=high,
        seed=seed,
        **author.columns,
    )
