"""Lets a process have both: background threads that use the database, and children made by fork.

A fork copies only the forking thread. If another thread held a lock inside the database driver at that moment, the
child would wait for it for ever; and an SQLite connection must not be carried into a child at all. So a background
thread does its database work inside `database_work()`, which ends with its connections closed, and a fork waits until
no such work is going on and closes the connections of the forking thread first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

_no_fork_now = threading.RLock()
_installed = False


@contextmanager
def database_work() -> Iterator[None]:
    """Database work of a background thread; no fork happens while it goes on. Keep it short."""
    with _no_fork_now:
        try:
            yield
        finally:
            connections.close_all()


def install() -> None:
    """Make forks of this process wait for background database work. Calling it again changes nothing."""
    global _installed
    if not _installed:
        _installed = True
        os.register_at_fork(before=_before_fork, after_in_parent=_no_fork_now.release, after_in_child=_reset)


def _before_fork() -> None:
    _no_fork_now.acquire()
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _reset() -> None:
    global _no_fork_now
    _no_fork_now = threading.RLock()
