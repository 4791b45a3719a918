"""Real worker processes for tests: start one, wait until it is ready, kill it with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def wait_until(condition: Callable[[], object], *, seconds: float = 120.0, what: str = "") -> None:
    """Poll `condition` until it is true; fails after `seconds` (long: the machine may be busy) with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or condition}")
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ChildProcess:
    """A process in a session of its own, with its output in a file."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=dict(environment), cwd=REPOSITORY, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_for_output(self, text: str, seconds: float = 120.0) -> None:
        wait_until(lambda: text in self.output or self.ended, seconds=seconds, what=f"{text!r} in\n{self.output}")
        assert text in self.output, f"ended with {self.process.returncode} before {text!r}:\n{self.output}"

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill_all(self) -> None:
        """SIGKILL for the process and its children; nothing of it is left afterwards."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 120.0) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


def start_worker(
    environment: Mapping[str, str], log: Path, *, queues: str, pool: str = "prefork", app: str = "latentlens"
) -> ChildProcess:
    """A Celery worker as `manage.py up` starts it, ready to take work."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queues, "--pool", pool, "--concurrency", "1"]
    worker = ChildProcess([*command, "-n", f"{log.stem}@test", "--loglevel", "INFO"], environment, log)
    worker.wait_for_output("ready")
    return worker
