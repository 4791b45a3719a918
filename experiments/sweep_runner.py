"""Trains claimed experiments of a sweep side by side: one capture pass, and for each a journal, orders and an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from experiments.engine.records import MemberFailed, Record, StageFinished
from experiments.hub_descriptions import check_hub_model
from experiments.lease_keeper import LeaseKeeper
from experiments.models import Experiment
from experiments.runner import ExperimentRun, config_of, job_of, resume_point_of
from experiments.services.leases import LeaseLost
from latentlens.lib.logs import experiment_log, get_logger

if TYPE_CHECKING:
    from experiments.engine.sweep import Event, SideBySide

# A member that waits for the others is asked so often whether somebody wants something of it.
SECONDS_OF_SILENCE = 2.0

Status = Experiment.Status
Observe = Callable[[int, Record], None]
_log = get_logger(__name__)


def train_side_by_side(
    experiment_ids: list[int],
    owner: str,
    *,
    observe: Observe = lambda experiment_id, record: None,
    after_training: str = Status.QUEUED,
    after_shutdown: str = Status.QUEUED,
) -> None:
    """Trains claimed experiments until each is trained, has ended or is interrupted; their rows say which.

    After its training an experiment goes on by itself: it is queued for any worker, or left `paused` for whoever
    claims it next. Never raises. `observe` sees every record with the id of its experiment.
    """
    runs = {
        number: ExperimentRun(experiment_id, owner, partial(observe, experiment_id), after_shutdown)
        for number, experiment_id in enumerate(experiment_ids)
    }
    _log.info("sweep claimed", experiments=experiment_ids, owner=owner)
    SweepRun(runs, after_training).to_the_end_of_training()


class SweepRun:
    """One claim's worth of work on the experiments of a sweep."""

    def __init__(self, runs: dict[int, ExperimentRun], after_training: str) -> None:
        self._runs = runs
        self._after_training = after_training

    def to_the_end_of_training(self) -> None:
        with LeaseKeeper(*(run.journal for run in self._runs.values())):
            try:
                self._drive()
            except Exception as error:
                for number in list(self._runs):
                    self._ended(number, MemberFailed(error))

    def _drive(self) -> None:
        check_hub_model(config_of(self._runs[0].experiment))
        sweep = side_by_side(list(self._runs.values()))
        with closing(_events_of(sweep)) as events:
            for number, record in events:
                ended = [number] if number in self._runs and self._ended(number, record) else []
                for silent in self._silent():
                    ended += [silent] if self._ended(silent, None) else []
                for gone in ended:
                    sweep.drop(gone)

    def _silent(self) -> list[int]:
        now = time.monotonic()
        return [number for number, run in self._runs.items() if now - run.journal.saved_at > SECONDS_OF_SILENCE]

    def _ended(self, number: int, record: Record | MemberFailed | None) -> bool:
        """Saves what was told of a member (None: nothing for a while); has it come to its end here?"""
        run = self._runs[number]
        with experiment_log(run.experiment.pk):
            try:
                status = self._end_of(run, record)
            except LeaseLost:
                _log.warning("lease lost")
            else:
                if status is None:
                    return False
                _log.info("experiment let go", status=status)
        del self._runs[number]
        return True

    def _end_of(self, run: ExperimentRun, record: Record | MemberFailed | None) -> str | None:
        """The status that the experiment was left in, or None when it goes on. Raises LeaseLost."""
        if isinstance(record, MemberFailed):
            if isinstance(record.error, LeaseLost):
                raise record.error
            return run.fail(record.error)
        status = run.look() if record is None else run.take(record)
        if status is None and isinstance(record, StageFinished) and record.stage == "training":
            status = self._after_training
        return run.let_go(status) if status else None


def side_by_side(runs: list[ExperimentRun]) -> SideBySide:
    """The engine's part of a sweep, each member from where it was left."""
    from experiments.engine.sweep import Member, SideBySide  # noqa: PLC0415 - imports torch

    return SideBySide(
        [Member(job_of(run.experiment), resume_point_of(run.experiment), run.is_interrupted) for run in runs]
    )


def _events_of(sweep: SideBySide) -> Generator[Event, None, None]:
    yield from sweep.run()
