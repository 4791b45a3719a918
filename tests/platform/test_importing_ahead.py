"""The child of a worker imports torch while it waits for an experiment; its parent, which forks, never has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_processes import ChildProcess, start_worker, wait_until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="what a process has loaded is read from /proc"),
]


@pytest.fixture
def worker(child_environment: dict[str, str], tmp_path: Path) -> Iterator[ChildProcess]:
    environment = child_environment | {"IMPORTS_AHEAD": "true"}
    started = start_worker(environment, tmp_path / "worker.log", queues="experiments")
    yield started
    started.kill_all()


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def has_torch(process: int) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{process}/maps").read_text()
    except OSError:  # it has ended
        return False


def test_an_idle_child_has_torch_and_its_parent_does_not(worker: ChildProcess) -> None:
    parent = worker.process.pid
    wait_until(lambda: any(map(has_torch, children_of(parent))), what="a child that has torch")
    assert not has_torch(parent)
