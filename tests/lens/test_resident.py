"""Which lenses stay in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from experiments.models import Experiment
from lens.resident import ResidentLenses


@dataclass
class Weight:
    memory_bytes: int


def _experiments(*ids: int) -> list[Experiment]:
    return [Experiment(pk=number) for number in ids]


def test_a_lens_is_loaded_once() -> None:
    loaded: list[int] = []

    def load(experiment: Experiment) -> Weight:
        loaded.append(experiment.pk)
        return Weight(1)

    resident = ResidentLenses(load, budget=10)
    (one,) = _experiments(1)
    assert resident.lens_for(one) is resident.lens_for(one)
    assert loaded == [1]


def test_the_least_recently_used_lens_makes_room() -> None:
    resident = ResidentLenses(lambda _: Weight(4), budget=10)
    one, two, three = _experiments(1, 2, 3)
    for experiment in (one, two, one, three):
        resident.lens_for(experiment)
    assert resident.experiments == [1, 3]


def test_a_lens_larger_than_the_budget_stays_alone() -> None:
    resident = ResidentLenses(lambda experiment: Weight(100 if experiment.pk == 2 else 1), budget=10)
    for experiment in _experiments(1, 2):
        resident.lens_for(experiment)
    assert resident.experiments == [2]


def test_a_lens_that_cannot_be_loaded_leaves_the_others() -> None:
    def load(experiment: Experiment) -> Weight:
        if experiment.pk == 2:
            raise ValueError("damaged")
        return Weight(1)

    resident = ResidentLenses(load, budget=10)
    one, two = _experiments(1, 2)
    resident.lens_for(one)
    with pytest.raises(ValueError, match="damaged"):
        resident.lens_for(two)
    assert resident.experiments == [1]
