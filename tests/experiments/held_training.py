"""Workers that stop in the middle of training until a test lets them go on (`celery -A` this module).

How long a tiny training takes depends on the machine; a test that kills or pauses one must not race with its end.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import django

from latentlens.celery import app
from latentlens.lib import shutdown

__all__ = ["app"]

django.setup()

from experiments import progress  # noqa: E402 - needs Django's models
from experiments.engine.records import Checkpointed, Measurement, Record  # noqa: E402

# The file that appears when each of so many experiments has a checkpoint and one of them is measured after it; training
# goes on when the file goes, or when the worker is asked to stop.
HELD = Path(os.environ["HELD_FILE"])
EXPERIMENTS = int(os.environ["HELD_EXPERIMENTS"])

_saved: set[int] = set()
_take = progress.Journal.take


def take_and_hold(self: progress.Journal, record: Record) -> None:
    _take(self, record)
    if isinstance(record, Checkpointed):
        _saved.add(self.experiment_id)
    if isinstance(record, Measurement) and len(_saved) == EXPERIMENTS and not HELD.exists():
        _saved.clear()
        HELD.touch()
        while HELD.exists() and not shutdown.is_requested():
            time.sleep(0.02)


progress.Journal.take = take_and_hold  # type: ignore[method-assign]
progress.SECONDS_BETWEEN_WRITES = 0.0  # what people ask for meanwhile is read with the next record
