"""Bonds between processes: a child that does not outlive its parent, and a lock that one process holds."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None] | None:
    """For `subprocess.Popen(preexec_fn=...)`: the kernel kills the child when its parent ends, however that happens.

    Linux only; elsewhere None, and an orphan is left to notice by itself.
    """
    if sys.platform != "linux":
        return None
    # Loaded before the fork: the child of a fork should do as little as possible.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bond() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bond


class ProcessLock:
    """A lock file. The kernel gives the lock up with the process, so a stale file never blocks anybody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """True: it is ours until this process ends. False: another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def holder(self) -> str:
        """Process id of who holds the lock, as text."""
        return self._path.read_text().strip() or "unknown"
