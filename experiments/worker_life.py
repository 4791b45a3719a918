"""What every Celery worker does beside its tasks: it says that it lives, and brings lost experiments on their way.

Both happen in one background thread of the worker's parent process, which never imports torch and outlives its
children.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.db import Error

from experiments.services.leases import reconcile
from experiments.services.previews import forget_previews
from experiments.services.workers import HEARTBEAT_SECONDS, forget_worker, record_heartbeat
from latentlens.lib.fork_guard import database_work
from latentlens.lib.logs import get_logger

RECONCILE_SECONDS = 15.0
_log = get_logger(__name__)


class Heartbeat(threading.Thread):
    """Writes the worker's row every few seconds; where experiments are run, it also reconciles and sweeps."""

    def __init__(self, queues: list[str]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._queues = queues
        self._stopping = threading.Event()
        self._next_reconcile = 0.0

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.beat()
            except Error as error:  # the database may be away for a while; the worker goes on
                _log.warning("heartbeat failed", error=str(error))
            self._stopping.wait(HEARTBEAT_SECONDS)

    def beat(self) -> None:
        with database_work():
            record_heartbeat(self.worker, self._queues)
            if "experiments" in self._queues and time.monotonic() >= self._next_reconcile:
                self._next_reconcile = time.monotonic() + RECONCILE_SECONDS
                reconcile()
                forget_previews()

    def stop(self) -> None:
        """Ends the thread and takes the worker off the list."""
        self._stopping.set()
        self.join(timeout=HEARTBEAT_SECONDS)
        with database_work():
            forget_worker(self.worker)


_heartbeats: list[Heartbeat] = []


@worker_ready.connect
def start_heartbeat(sender: Any, **_: Any) -> None:
    """`sender` is the worker's consumer; the queues it reads are known from now on."""
    heartbeat = Heartbeat([queue.name for queue in sender.task_consumer.queues])
    _heartbeats.append(heartbeat)
    heartbeat.start()


@worker_shutdown.connect
def stop_heartbeat(**_: Any) -> None:
    while _heartbeats:
        _heartbeats.pop().stop()
