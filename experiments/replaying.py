"""Trains a stored experiment once more and compares; nothing of the experiment is touched."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.job import ResumePoint
from experiments.engine.records import Record
from experiments.models import Experiment, Metric
from experiments.runner import config_of, job_of
from experiments.services.folders import experiment_folder
from latentlens.lib.problems import Refused

if TYPE_CHECKING:
    from experiments.engine.replay import Measured, Replay


@dataclass(frozen=True)
class StepRange:
    """The steps from `first` to `last`, both included."""

    first: int
    last: int


def replay_experiment(experiment: Experiment, steps: StepRange, observe: Callable[[Record], None]) -> Replay:
    """Trains again, from the newest kept checkpoint before `steps` or else from the beginning, and compares.

    To the last step, the SHA-256 of the weights is compared too. Raises Refused when there is nothing to compare.
    """
    from experiments.engine.replay import replay  # noqa: PLC0415 - imports torch

    stored = _stored(experiment, steps)
    is_whole = steps.last >= config_of(experiment).training.steps
    with _folder() as folder:
        resume = _checkpoint_before(experiment, steps.first, folder)
        job = replace(job_of(experiment), folder=folder.path)
        work = replay(job, stored, experiment.weights_sha256 or None if is_whole else None, resume)
        return _observed(work, observe)


def _stored(experiment: Experiment, steps: StepRange) -> Measured:
    found = Metric.objects.filter(experiment=experiment, step__range=(steps.first, steps.last))
    stored = dict(found.order_by("step").values_list("step", "values"))
    if not stored:
        raise Refused(f"Nothing was measured in steps {steps.first:,} to {steps.last:,} of this experiment.")
    return stored


@contextmanager
def _folder() -> Iterator[ExperimentFolder]:
    """A folder that ends with the replay, on the disk that has room for checkpoints."""
    root = Path(settings.ARTIFACTS_DIR)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="replay-") as folder:
        yield ExperimentFolder(Path(folder))


def _checkpoint_before(experiment: Experiment, step: int, folder: ExperimentFolder) -> ResumePoint | None:
    """Copies the newest checkpoint that holds fewer than `step` steps; of one in a worker's hands none is sure."""
    kept = None if experiment.is_held else experiment_folder(experiment.pk).newest_checkpoint_before(step)
    if kept is None:
        return None
    folder.checkpoints.mkdir(parents=True)
    shutil.copyfile(kept, folder.checkpoint(kept.name))
    sha256 = experiment.checkpoint_sha256 if kept.name == experiment.checkpoint else None
    return ResumePoint("training", kept.name, sha256)


def _observed(work: Generator[Record, None, Replay], observe: Callable[[Record], None]) -> Replay:
    try:
        while True:
            observe(next(work))
    except StopIteration as end:
        result: Replay = end.value
        return result
    finally:
        work.close()
