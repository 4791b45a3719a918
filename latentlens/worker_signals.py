"""What Latent Lens adds to a Celery worker: our own logging, and a SIGTERM that reaches the running task.

Celery answers SIGTERM by waiting for its tasks. Training takes hours, so the parent passes the signal on to its pool
children, where it sets `latentlens.lib.shutdown`: the runner saves a checkpoint, gives its lease back and returns.

A child has one task, which computes for hours: it steps back behind the processes that answer people, and keeps its
memory until it ends. Importing what it computes with takes seconds, so it is done while the child waits for its task.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from types import FrameType
from typing import Any

from billiard.process import active_children
from celery import signals
from django.conf import settings

from latentlens.lib import shutdown
from latentlens.lib.logs import get_logger
from latentlens.lib.long_work import prepare_for_long_work

_log = get_logger(__name__)

# The engine, and what transformers and pyarrow would import only while a model is loaded and an index is written.
IMPORTED_AHEAD = ("experiments.engine.pipeline", "transformers.modeling_utils", "pandas")

_parent_pid = 0
_importing: threading.Thread | None = None


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """That somebody listens to this signal is what keeps Celery from configuring logging itself."""


@signals.worker_init.connect
def _remember_parent(**_: Any) -> None:
    global _parent_pid
    _parent_pid = os.getpid()


@signals.worker_shutting_down.connect
def _tell_children(**_: Any) -> None:
    shutdown.request()
    for child in active_children():
        if child.pid:
            os.kill(child.pid, signal.SIGTERM)


@signals.worker_process_init.connect
def _import_ahead(**_: Any) -> None:
    """In a thread, because a child has to say at once that it is up; the parent, which forks, never has torch."""
    global _importing
    if os.getpid() != _parent_pid and settings.IMPORTS_AHEAD:
        _importing = threading.Thread(target=_import_all, name="importing", daemon=True)
        _importing.start()


def _import_all() -> None:
    prepare_for_long_work()  # the niceness is that of this thread
    for name in IMPORTED_AHEAD:
        try:
            importlib.import_module(name)
        except ImportError as error:  # the task that needs it meets the same, and says so where a person looks
            _log.warning("not imported ahead", module=name, error=str(error))
            return


@signals.task_prerun.connect
def _prepare_child(**_: Any) -> None:
    """Only in a forked child: with the solo pool this process is the parent, and SIGTERM is Celery's.

    Before each task, because the pool resets the signals of a new child after the last hook that a child has.
    """
    if os.getpid() != _parent_pid:
        signal.signal(signal.SIGTERM, _note_request)
        prepare_for_long_work()
        if _importing is not None:
            _importing.join()


def _note_request(_number: int, _frame: FrameType | None) -> None:
    shutdown.request()
