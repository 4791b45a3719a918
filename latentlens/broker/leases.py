"""Keeps the leases of the messages that this process works on, from a background thread."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading

from django.db import DatabaseError

from latentlens.broker import queues
from latentlens.lib import fork_guard
from latentlens.lib.logs import get_logger

_RENEW_EVERY = queues.LEASE_SECONDS / 4
_log = get_logger(__name__)


class LeaseKeeper:
    """The messages held by one process. Its thread starts with the first one.

    Leases belong to the process, not to a broker connection: when the connection is lost and found again, a task that
    is running keeps its message and acknowledges it in the end.
    """

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: set[int] = set()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def hold(self, pk: int) -> None:
        self._held.add(pk)
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew_for_ever, name="broker-leases", daemon=True)
            self._thread.start()
            atexit.register(self.release_all)

    def let_go(self, pk: int) -> None:
        self._held.discard(pk)

    def release_all(self) -> None:
        """At an orderly end of the process: what was not acknowledged is free at once."""
        self._ended.set()
        held, self._held = self._held, set()
        if held:
            with fork_guard.database_work():
                queues.release(held, self.owner)

    def _renew_for_ever(self) -> None:
        while not self._ended.wait(_RENEW_EVERY):
            held = set(self._held)
            if not held:
                continue
            try:
                with fork_guard.database_work():
                    queues.renew(held, self.owner)
            except DatabaseError as error:
                _log.warning("lease not renewed", error=str(error), messages=len(held))


_keeper: LeaseKeeper | None = None


def keeper() -> LeaseKeeper:
    """The keeper of this process."""
    global _keeper
    if _keeper is None:
        _keeper = LeaseKeeper()
    return _keeper


def _forget() -> None:
    """In a forked child: the messages are the parent's business."""
    global _keeper
    if _keeper is not None:
        atexit.unregister(_keeper.release_all)
    _keeper = None


os.register_at_fork(after_in_child=_forget)
