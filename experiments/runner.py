"""Runs one experiment: claims it, drives the engine, saves what it yields, and obeys cancel, pause and shutdown."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

from django.conf import settings

from experiments.engine.config import ExperimentConfig
from experiments.engine.job import Job, ResumePoint
from experiments.engine.machine import cpu_threads, resolve_device
from experiments.engine.records import Checkpointed, Record, StageFinished
from experiments.failures import explain
from experiments.hub_descriptions import check_hub_model
from experiments.lease_keeper import LeaseKeeper
from experiments.models import Experiment
from experiments.progress import Journal
from experiments.services.folders import cache_folder, corpus_path, experiment_folder
from experiments.services.language_models import model_path
from experiments.services.leases import LeaseLost, claim_with_its_sweep, conclude, give_back, new_owner
from experiments.signals import experiment_finished
from latentlens.lib import shutdown
from latentlens.lib.logs import experiment_log, get_logger

# Who is asked to pause or shut down waits for a checkpoint, but not longer than this: the one before it will do.
CHECKPOINT_PATIENCE = 12.0

Status = Experiment.Status
_log = get_logger(__name__)


def run(experiment_id: int) -> None:
    """What a message "look at experiment N" leads to. An experiment that is not to be had is left alone."""
    from experiments.sweep_runner import train_side_by_side  # noqa: PLC0415 - it is made of what is here

    owner = new_owner()
    claimed = claim_with_its_sweep(experiment_id, owner)
    if len(claimed) > 1:
        train_side_by_side(claimed, owner)
    elif claimed:
        run_claimed(experiment_id, owner)


def run_claimed(
    experiment_id: int,
    owner: str,
    *,
    observe: Callable[[Record], None] = lambda record: None,
    after_shutdown: str = Status.QUEUED,
) -> None:
    """Runs a claimed experiment until it has ended or is interrupted; its row says which. Never raises.

    `observe` sees every record (a progress bar does); `after_shutdown` is what becomes of the experiment when this
    process is asked to stop: queued for another worker, or paused for a person.
    """
    with experiment_log(experiment_id):
        _log.info("experiment claimed", owner=owner)
        run = ExperimentRun(experiment_id, owner, observe, after_shutdown)
        try:
            status = run.to_the_end()
        except LeaseLost:
            _log.warning("lease lost", owner=owner)
        else:
            _log.info("experiment let go", status=status)


class ExperimentRun:
    """One claim's worth of work on one experiment."""

    def __init__(self, experiment_id: int, owner: str, observe: Callable[[Record], None], after_shutdown: str) -> None:
        self.experiment = Experiment.objects.select_related("corpus").get(pk=experiment_id)
        self.journal = Journal(experiment_id, owner)
        self._observe = observe
        self._after_shutdown = after_shutdown
        self._interrupted_at: float | None = None

    def to_the_end(self) -> str:
        """Returns the status that the experiment was left in. Raises LeaseLost."""
        try:
            with LeaseKeeper(self.journal):
                status = self._stages()
        except LeaseLost:
            raise
        except Exception as error:  # whatever happens, the person who waits is told; see `failures`
            return self.fail(error)
        return self.let_go(status)

    def fail(self, error: Exception) -> str:
        """Ends the experiment with one sentence for the person who waits. Raises LeaseLost."""
        _log.error("experiment failed", exc_info=error)
        return self._conclude(Status.FAILED, error=explain(error, self._stage()))

    def let_go(self, status: str) -> str:
        """Ends the lease: queued for another worker, paused, or ended. Raises LeaseLost."""
        if status == Status.QUEUED:
            self.journal.is_closed = True
            give_back(self.experiment.pk, self.journal.owner)
            return status
        return self._conclude(status)

    def _stages(self) -> str:
        check_hub_model(config_of(self.experiment))
        if self._stage() != Experiment.Stage.IMPORT:
            interrupted = self._engine_stages()
            if interrupted:
                return interrupted
        experiment_finished.send(sender=Experiment, experiment_id=self.experiment.pk)
        return Status.FINISHED

    def _engine_stages(self) -> str | None:
        """Drives the engine; returns the status to leave the experiment in, or None when all stages are done."""
        with closing(engine_records(self.experiment, self.is_interrupted)) as records:
            for record in records:
                if status := self.take(record):
                    return status
        return None

    def take(self, record: Record) -> str | None:
        """Saves a record; returns the status to leave the experiment in, or None to go on. Raises LeaseLost."""
        self.journal.take(record)
        self._observe(record)
        if isinstance(record, StageFinished):
            _log.info("stage finished", stage=record.stage)
        if status := self._status_after(record):
            self.journal.save()
        return status

    def look(self) -> str | None:
        """What `take` does, for an experiment that has nothing to tell while others are trained beside it."""
        self.journal.save()
        return self._status_after(None)

    def _status_after(self, record: Record | None) -> str | None:
        """None goes on. Cancelling waits for nothing; pausing and shutting down wait for the next checkpoint."""
        if self.journal.orders.cancel:
            return Status.CANCELLED
        if not self.is_interrupted():
            return None
        overdue = time.monotonic() - (self._interrupted_at or 0.0) > CHECKPOINT_PATIENCE
        in_training = getattr(record, "stage", None) in {None, Experiment.Stage.TRAINING}
        if in_training and not overdue and not isinstance(record, Checkpointed | StageFinished):
            return None
        return Status.PAUSED if self.journal.orders.pause else self._after_shutdown

    def is_interrupted(self) -> bool:
        """Has somebody asked for a pause, or for the end of this process? The engine then saves a checkpoint."""
        wanted = self.journal.orders.pause or shutdown.is_requested()
        if wanted and self._interrupted_at is None:
            self._interrupted_at = time.monotonic()
        return wanted

    def _conclude(self, status: str, **changes: Any) -> str:
        finished = status == Status.FINISHED
        if finished:
            changes |= {"checkpoint": "", "checkpoint_sha256": "", "progress_note": "", "stage": ""}
        self.journal.is_closed = True
        conclude(self.experiment.pk, self.journal.owner, status, **changes)
        if finished:
            experiment_folder(self.experiment.pk).keep_checkpoints()
        return status

    def _stage(self) -> str:
        return Experiment.objects.values_list("stage", flat=True).get(pk=self.experiment.pk)


def engine_records(experiment: Experiment, should_checkpoint: Callable[[], bool]) -> Generator[Record, None, None]:
    """The engine's records for this experiment, from where it was left."""
    from experiments.engine import pipeline  # noqa: PLC0415 - imports torch

    yield from pipeline.run(job_of(experiment), resume_point_of(experiment), should_checkpoint=should_checkpoint)


def job_of(experiment: Experiment) -> Job:
    """What the engine is told to do. Imports torch to find the device."""
    config = config_of(experiment)
    return Job(
        config=config,
        folder=experiment_folder(experiment.pk).path,
        model_path=model_path(config.model),
        corpus_path=corpus_path(experiment.corpus),
        cache_folder=cache_folder(),
        device=resolve_device(settings.DEVICE),
        threads=cpu_threads(),
        cache_quota_bytes=int(settings.CACHE_QUOTA_GB * 1e9),
        user=str(experiment.pk),
        start_folder=experiment_folder(config.start.experiment).path if config.start else None,
    )


def resume_point_of(experiment: Experiment) -> ResumePoint:
    """Where the experiment was left."""
    return ResumePoint(
        stage=experiment.stage or Experiment.Stage.CAPTURE,
        checkpoint=experiment.checkpoint or None,
        checkpoint_sha256=experiment.checkpoint_sha256 or None,
    )


def config_of(experiment: Experiment) -> ExperimentConfig:
    """The stored configuration; a hub model stays at the commit that was loaded first."""
    config = ExperimentConfig.from_json(experiment.config)
    if config.model.source == "hub" and experiment.model_revision:
        return replace(config, model=replace(config.model, revision=experiment.model_revision))
    return config
