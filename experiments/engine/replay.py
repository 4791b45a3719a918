"""Training once more, to see whether it gives the measurements and the weights that it gave before."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from experiments.engine import pipeline
from experiments.engine.job import Job, ResumePoint
from experiments.engine.records import Measurement, Record, StageFinished

# What was measured at each step, by name; a value that is no finite number is kept as None.
Measured: TypeAlias = Mapping[int, Mapping[str, float | None]]


@dataclass(frozen=True)
class Difference:
    """The first value that came out differently: a measurement, or the SHA-256 of the weights."""

    step: int
    name: str
    stored: float | str | None
    replayed: float | str | None


@dataclass(frozen=True)
class Replay:
    """How many values were compared, and the first that differed; None when all are equal, bit for bit."""

    values: int
    difference: Difference | None


def replay(
    job: Job, stored: Measured, weights_sha256: str | None = None, resume: ResumePoint | None = None
) -> Generator[Record, None, Replay]:
    """Trains in the folder of `job`, which must be one of its own, until all `stored` steps have been compared.

    With a hash it trains to the end and compares the saved weights too. `resume` names a checkpoint in that folder.
    Yields the records of the training; returns at the first difference. Raises what the pipeline raises.
    """
    values, last, steps = 0, max(stored), job.config.training.steps
    with closing(_records(job, resume)) as records:
        for record in records:
            yield record
            if isinstance(record, Measurement) and record.step in stored:
                values += len(stored[record.step])
                difference = _difference(record, stored[record.step])
                if difference or (record.step == last and weights_sha256 is None):
                    return Replay(values, difference)
            if isinstance(record, StageFinished) and record.stage == "training":
                found = record.values["weights_sha256"]
                if found != weights_sha256:
                    return Replay(values + 1, Difference(steps, "SHA-256 of the weights", weights_sha256, found))
                return Replay(values + 1, None)
    raise AssertionError("training always ends with a record that says so")


def _records(job: Job, resume: ResumePoint | None) -> Generator[Record, None, None]:
    yield from pipeline.run(job, resume)


def _difference(found: Measurement, stored: Mapping[str, float | None]) -> Difference | None:
    """The first of the `stored` values that is not exactly what was found. What was not stored is not compared."""
    for name, before in stored.items():
        now = found.values.get(name)
        if now is not None and not math.isfinite(now):
            now = None
        if now != before:
            return Difference(found.step, name, before, now)
    return None
