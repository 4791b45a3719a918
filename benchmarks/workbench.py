"""The whole workbench from nothing, as a person meets it: start, demo experiment, pages, lens, second start.

    make bench ARGS="--only workbench"          # or: python -m benchmarks.workbench

Starts `manage.py up` on an empty folder and a free port, waits for the demo experiment, and times what follows in a
browser. Everything is measured on the running installation; nothing else should use the machine meanwhile. Pages are
also asked for while an experiment trains on all cores, which is to leave them their latency.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from benchmarks.figures import Figure, tell
from benchmarks.folders import ROOT
from benchmarks.lens_click import clicks, signed_in

WEB_IMPORT = """
import time
from benchmarks.memory import peak_memory_mb
started = time.perf_counter()
import latentlens.asgi
print(time.perf_counter() - started, peak_memory_mb())
"""
# Features enough that it trains until the pages have been asked for; tokens as many as the demo's, whose text is read.
LONG_TRAINING = {
    "model": "builtin",
    "layer": 2,
    "n_features": 16_384,
    "training_tokens": 1_000_000,
    "harvest_tokens": 1_000,
}
REQUESTS = 40  # of each page
PAGES = ("experiments/1/features/", "experiments/1/features/?ordering=-max_activation", "experiments/1/features/{}/")


class Workbench:
    """A running `manage.py up` on `data`."""

    def __init__(self, data: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        environment |= {"DATA_DIR": str(data), "PORT": "0", "ENV_FILE": os.devnull}
        command = [sys.executable, "manage.py", "up"]
        started = time.monotonic()
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None, "it was asked for"
        line = self._process.stdout.readline()
        self.seconds_to_answer = time.monotonic() - started
        found = re.search(r"(http://\S+)/ - sign in once with (\S+)", line)
        if found is None:
            raise RuntimeError(f"Latent Lens did not start: {line}")
        self.address, self.link = found.groups()
        self._key = (data / "secrets" / "api_key").read_text().strip()

    def get(self, path: str) -> bytes:
        return self._ask(path)

    def post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads(self._ask(path, json.dumps(document).encode())))

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"X-API-Key": self._key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def experiment(self, number: int) -> dict[str, Any]:
        return dict(json.loads(self.get(f"api/experiments/{number}")))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


@contextmanager
def running(data: Path) -> Iterator[Workbench]:
    workbench = Workbench(data)
    try:
        yield workbench
    finally:
        workbench.stop()


def main() -> None:
    """Prints one line per figure."""
    for what, value, unit in figures():
        tell(what, value, unit)


def figures() -> Iterator[Figure]:
    """Each figure as soon as it is there."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "var"
        with running(data) as workbench:
            yield "first start, until it answers", workbench.seconds_to_answer, "s"
            yield "demo experiment, from the start on", _demo(workbench), "s"
            yield from _quality_of(workbench.experiment(1)["quality"])
            with signed_in(workbench.link) as page:
                yield from times_of_pages(page, workbench)
                times = clicks(page, experiment=1, prompts=20)
                yield "lens, from click to heat map", statistics.median(times), "ms (median)"
                with training(workbench):
                    for what, value, unit in times_of_pages(page, workbench):
                        yield f"while an experiment trains: {what}", value, unit
        with running(data) as again:
            yield "second start, until it answers", again.seconds_to_answer, "s"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "latentlens.settings"}
    command = [sys.executable, "-c", WEB_IMPORT]
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = map(float, answer.stdout.split())
    yield "importing the web process", seconds, "s"
    yield "memory of the web process after that", megabytes, "MB"


@contextmanager
def training(workbench: Workbench) -> Iterator[None]:
    """From the first steps of an experiment on; it is cancelled at the end. Raises RuntimeError if it ended before."""
    number = workbench.post("api/experiments", LONG_TRAINING)["id"]
    while (state := workbench.experiment(number))["status"] in ("queued", "running") and not state["progress"]["step"]:
        time.sleep(0.5)
    yield
    if (state := workbench.experiment(number))["status"] != "running":
        raise RuntimeError(f"The training was over before the pages had answered: {state['status']} {state['error']}")
    workbench.post(f"api/experiments/{number}/cancel", {})


def _demo(workbench: Workbench) -> float:
    started = time.monotonic()
    while (state := workbench.experiment(1))["status"] not in ("finished", "failed"):
        time.sleep(0.5)
    if state["status"] == "failed":
        raise RuntimeError(f"The demo experiment failed: {state['error']}")
    return workbench.seconds_to_answer + time.monotonic() - started


def _quality_of(quality: dict[str, Any]) -> Iterator[Figure]:
    concepts = quality["concepts"]
    yield "explained variance", quality["explained_variance"], ""
    yield "dead features", quality["dead_share"], ""
    yield "CE recovered, zero ablation", quality["ce_recovered_zero"], ""
    yield "CE recovered, mean ablation", quality["ce_recovered_mean"], ""
    yield "concepts found by one feature", concepts["single_share_f1_80"], f"of {len(concepts['rows'])}"
    yield "concepts found by at most five", concepts["set_share_f1_80"], f"of {len(concepts['rows'])}"


def times_of_pages(page: Page, workbench: Workbench) -> Iterator[Figure]:
    """Median and 95th percentile of each page, by the first experiment and its most frequent feature."""
    frequent = json.loads(workbench.get("api/features?experiment=1&ordering=-density&limit=1"))["items"][0]["index"]
    for pattern in PAGES:
        path, times = pattern.format(frequent), []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            if not page.request.get(f"{workbench.address}/{path}").ok:
                raise RuntimeError(f"{path} was not answered")
            times.append(1000 * (time.perf_counter() - started))
        yield f"{path}, p50", statistics.median(times), "ms"
        yield f"{path}, p95", statistics.quantiles(times, n=20)[-1], "ms"


if __name__ == "__main__":
    main()
