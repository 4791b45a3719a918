"""The real thing for browser tests: `manage.py up` on a free port, with its own data folder, a tiny model and a corpus.

The first start's demo experiment is left out, because it trains for a minute on the built-in model.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.engine.tiny_models import save_tiny_model
from tests.stories import stories
from tests.worker_processes import REPOSITORY, ChildProcess, wait_until

MODEL = "local:tiny"
PREPARE = """
import django; django.setup()
from django.core.management import call_command
from experiments.models import FirstStart
call_command("migrate", verbosity=0)
FirstStart.objects.create()
"""


@dataclass(frozen=True)
class Workbench:
    """A running installation: its address, its one-time sign-in link, its API."""

    address: str
    sign_in_link: str
    api: httpx.Client
    corpus_file: Path

    def experiment(self, **settings: Any) -> dict[str, Any]:
        """A small finished experiment on the tiny model, made through the API."""
        return self._finished(self._created("/api/experiments", settings)["id"])

    def sweep(self, **settings: Any) -> dict[str, Any]:
        """A sweep of such experiments, all of them finished."""
        sweep = self._created("/api/sweeps", settings)
        for experiment in sweep["experiments"]:
            self._finished(experiment)
        return sweep

    def corpus(self) -> dict[str, Any]:
        """The corpus of the file, uploaded once."""
        corpora: list[dict[str, Any]] = self.api.get("/api/corpora").json()["items"]
        return next((corpus for corpus in corpora if corpus["source"] == "upload"), None) or self._upload()

    def _created(self, address: str, settings: dict[str, Any]) -> dict[str, Any]:
        request = {"model": MODEL, "layer": 1, "corpus": self.corpus()["id"], "n_features": 64, "k": 4}
        created = self.api.post(address, json=request | {"training_tokens": 8_192} | settings)
        assert created.status_code == 201, created.text
        made: dict[str, Any] = created.json()
        return made

    def _finished(self, experiment_id: int) -> dict[str, Any]:
        address = f"/api/experiments/{experiment_id}"
        wait_until(
            lambda: self.api.get(address).json()["status"] not in {"queued", "running"}, seconds=180, what=address
        )
        experiment: dict[str, Any] = self.api.get(address).json()
        assert experiment["status"] == "finished", experiment["error"]
        return experiment

    def _upload(self) -> dict[str, Any]:
        with self.corpus_file.open("rb") as file:
            uploaded = self.api.post("/api/corpora", files={"file": file})
        assert uploaded.status_code == 201, uploaded.text
        corpus: dict[str, Any] = uploaded.json()
        return corpus


@contextlib.contextmanager
def running_workbench(folder: Path) -> Iterator[Workbench]:
    """Starts everything below `folder`, and ends all of it."""
    save_tiny_model(folder / "models" / "tiny", "gpt2")
    corpus_file = folder / "stories.txt"
    corpus_file.write_text(stories(400), "utf-8")
    environment = _environment(folder)
    subprocess.run([sys.executable, "-c", PREPARE], cwd=REPOSITORY, env=environment, check=True)
    up = ChildProcess([sys.executable, "manage.py", "up"], environment, folder / "up.log")
    try:
        up.wait_for_output("API key (header X-API-Key)", seconds=90)
        address, link = re.findall(r"runs at (http://\S+)/ .* (http://\S+/sign-in/\S+)", up.output)[0]
        with httpx.Client(base_url=address, headers={"X-API-Key": environment["API_KEY"]}, timeout=30) as api:
            yield Workbench(address, link, api, corpus_file)
    finally:
        up.stop(40)


def _environment(folder: Path) -> dict[str, str]:
    variables = {
        "DJANGO_SETTINGS_MODULE": "latentlens.settings",
        "DATA_DIR": str(folder / "data"),
        "MODELS_DIR": str(folder / "models"),
        "ENV_FILE": os.devnull,
        "API_KEY": "ll-key-of-the-browser-tests",
        "PORT": "0",
        "DEVICE": "cpu",
        "PYTHONUNBUFFERED": "1",
    }
    unset = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    return {name: value for name, value in os.environ.items() if name not in unset} | variables
