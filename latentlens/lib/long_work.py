"""What a process does before it computes for hours beside others: the child of a worker, and `manage.py train`."""

from __future__ import annotations

import os

from django.conf import settings

from latentlens.lib.large_blocks import keep_large_blocks


def prepare_for_long_work() -> None:
    """Steps back behind the processes that answer people, and keeps memory until this process ends.

    How its threads wait for each other is set for every process, in `latentlens.settings`.
    """
    keep_large_blocks()
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, settings.TRAINING_NICENESS))
