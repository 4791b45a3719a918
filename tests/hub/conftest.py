"""A hub for each test, and a client process that is pointed at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.tiny_models import save_tiny_model
from tests.hub.loopback_hub import LoopbackHub, running

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Client:
    """A worker's side of the hub, in processes of its own that keep what they fetch in `home`."""

    hub: LoopbackHub
    home: Path

    def __call__(self, *command: str, url: str | None = None) -> dict[str, Any]:
        """What `command` of tests.hub.hub_client answers, with HF_ENDPOINT at the hub or at `url`."""
        return self.answers([command], url)[0]

    def answers(self, commands: Sequence[Sequence[str]], url: str | None = None) -> list[dict[str, Any]]:
        """The answers to several commands, given to one process."""
        environment = {
            **os.environ,
            "HF_ENDPOINT": url or self.hub.url,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
        }
        program = [sys.executable, "-m", "tests.hub.hub_client", json.dumps(commands)]
        done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.hub.requests}"
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A hub with the model tiny/stories."""
    save_tiny_model(tmp_path / "hub" / "models" / "tiny" / "stories", "llama")
    with running(LoopbackHub(tmp_path / "hub")) as served:
        yield served


@pytest.fixture
def client(hub: LoopbackHub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path / "client")
