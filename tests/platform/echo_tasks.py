"""Tasks that a test can watch through files; workers load this module with `celery -A tests.platform.echo_tasks`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from latentlens.celery import app
from latentlens.lib import shutdown

__all__ = ["app"]


def append_line(path: str, line: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@app.task(name="lens.write_line")
def write_line(path: str, line: str) -> None:
    append_line(path, line)


@app.task(name="experiments.work_until")
def work_until(log: str, end_file: str) -> None:
    """Writes `started`; ends with `finished` when `end_file` appears, or with `stopped` when asked to."""
    append_line(log, f"started {os.getpid()}")
    while not Path(end_file).exists():
        if shutdown.is_requested():
            append_line(log, "stopped")
            return
        time.sleep(0.02)
    append_line(log, "finished")
