"""Runs the processes of the embedded default as children: starts them, starts them again, and ends all of them.

Every child has a session of its own, so that Ctrl-C reaches only the supervisor, which then stops them in order; and a
bond with the kernel, so that not even `kill -9` of the supervisor leaves one behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from latentlens.lib.logs import get_logger
from latentlens.lib.process_bonds import end_with_parent

STOP_SECONDS = 25.0
_LONGEST_PAUSE = 30.0
_CALM_AFTER = 60.0
_LOG_BYTES = 10 * 2**20
_LOOK_EVERY = 0.2
_log = get_logger(__name__)


@dataclass
class Child:
    """A process that should always run; `log` takes its events."""

    name: str
    command: Sequence[str]
    log: Path
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = 1.0
    start_again_at: float = field(default=0.0)

    def start(self, working_directory: Path) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the commands are our own
                self.command,
                cwd=working_directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # logs are on stderr; Celery says good-bye here
                stderr=output,
                start_new_session=True,
                pass_fds=self.pass_fds,
                preexec_fn=end_with_parent(),  # safe: this process has one thread
            )
        self.started_at = time.monotonic()
        self.start_again_at = 0.0

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal_group(self, number: signal.Signals) -> None:
        """To the child and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Supervisor:
    """Keeps `children` running until it is told to stop."""

    def __init__(self, children: Sequence[Child], working_directory: Path, say: Callable[[str], None]) -> None:
        self._children = children
        self._working_directory = working_directory
        self._say = say
        self._stop_requests = 0

    def start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for child in self._children:
            child.start(self._working_directory)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Watch the children until `until()` is true or somebody asks to stop."""
        while not self.is_stopping and not until():
            for child in self._children:
                self._look_after(child)
            time.sleep(_LOOK_EVERY)

    @property
    def is_stopping(self) -> bool:
        return self._stop_requests > 0

    def stop(self) -> None:
        """SIGTERM to all; who still runs after `STOP_SECONDS`, or at a second Ctrl-C, is killed with its children."""
        asked_before = self._stop_requests
        for child in self._children:
            if child.process is not None and child.is_running:
                child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(child.is_running for child in self._children):
            if time.monotonic() > deadline or self._stop_requests > max(1, asked_before):
                break
            time.sleep(0.05)
        for child in self._children:
            child.signal_group(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None or child.is_running:
            return
        if not child.start_again_at:
            child.signal_group(signal.SIGKILL)  # what a dead child left behind
            child.pause = 1.0 if now - child.started_at > _CALM_AFTER else min(child.pause * 2, _LONGEST_PAUSE)
            child.start_again_at = now + child.pause
            self._say(
                f"{child.name} ended (status {child.process.returncode}); it starts again in {child.pause:.0f} s. "
                f"Its log is {child.log}."
            )
            _log.error("child ended", child=child.name, status=child.process.returncode)
        elif now >= child.start_again_at:
            child.start(self._working_directory)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop_requests += 1


def embedded_children(logs: Path, listener_fd: int, log_level: str) -> list[Child]:
    """The three processes of one machine: web, worker for experiments, worker for the lens and the features."""
    web = [sys.executable, "-m", "latentlens.web_process", "--fd", str(listener_fd)]
    return [
        Child("web", web, logs / "web.log", (listener_fd,)),
        _worker("experiments", "experiments", "prefork", logs, log_level),
        _worker("lens", "lens,features", "solo", logs, log_level),
    ]


def _worker(name: str, queues: str, pool: str, logs: Path, log_level: str) -> Child:
    command = [sys.executable, "-m", "celery", "-A", "latentlens", "worker", "-Q", queues]
    command += ["--pool", pool, "--concurrency", "1", "-n", f"{name}@%h", "--loglevel", log_level]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return Child(f"worker-{name}", command, logs / f"worker-{name}.log")
