"""Lenses that stay in the worker's memory between prompts, within a budget. Imports no torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from experiments.engine.machine import memory_bytes
from experiments.models import Experiment
from latentlens.lib.logs import get_logger

_log = get_logger(__name__)


class Resident(Protocol):
    @property
    def memory_bytes(self) -> int: ...


Lens = TypeVar("Lens", bound=Resident)


def memory_budget() -> int:
    """A quarter of this machine's memory: experiments in training need the rest."""
    return memory_bytes() // 4


class ResidentLenses(Generic[Lens]):
    """A lens for each of the experiments that were asked for last.

    The least recently used ones go first when together they exceed `budget` bytes; the one asked for always stays,
    also when it is larger than the budget by itself.
    """

    def __init__(self, load: Callable[[Experiment], Lens], budget: int) -> None:
        self._load = load
        self._budget = budget
        self._lenses: OrderedDict[int, Lens] = OrderedDict()

    @property
    def experiments(self) -> list[int]:
        """The ids of those in memory, the one that was used last at the end."""
        return list(self._lenses)

    def lens_for(self, experiment: Experiment) -> Lens:
        """The lens of `experiment`, loaded now if it is not in memory. Whatever `load` raises is passed on."""
        if experiment.pk not in self._lenses:
            self._lenses[experiment.pk] = self._load(experiment)
            _log.info("lens loaded", experiment=experiment.pk, megabytes=self._total() // 2**20)
        self._lenses.move_to_end(experiment.pk)
        while len(self._lenses) > 1 and self._total() > self._budget:
            self._drop(self.experiments[0])
        return self._lenses[experiment.pk]

    def drop_deleted(self) -> None:
        """Frees the lenses of experiments that no longer exist; one query."""
        existing = set(Experiment.objects.filter(pk__in=self.experiments).values_list("pk", flat=True))
        for experiment_id in self.experiments:
            if experiment_id not in existing:
                self._drop(experiment_id)

    def _total(self) -> int:
        return sum(lens.memory_bytes for lens in self._lenses.values())

    def _drop(self, experiment_id: int) -> None:
        del self._lenses[experiment_id]
        _log.info("lens unloaded", experiment=experiment_id)
