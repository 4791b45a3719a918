"""Has this process been asked to stop? Long work looks here between its steps, saves what it has, and returns."""

from __future__ import annotations

import threading

_requested = threading.Event()


def request() -> None:
    _requested.set()


def is_requested() -> bool:
    return _requested.is_set()
