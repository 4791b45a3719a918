"""The whole workbench from nothing, as a person meets it: start, demo experiment, pages, lens, second start.

    make bench                                  # or: python -m benchmarks.workbench

Starts `manage.py up` on an empty folder and a free port, waits for the demo experiment, and times what follows in a
browser. Everything is measured on the running installation; nothing else should use the machine meanwhile.
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

from benchmarks.lens_click import clicks, signed_in

ROOT = Path(__file__).resolve().parent.parent
WEB_IMPORT = """
import resource, time
started = time.perf_counter()
import latentlens.asgi
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
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
            raise SystemExit(f"Latent Lens did not start: {line}")
        self.address, self.link = found.groups()
        self._key = (data / "secrets" / "api_key").read_text().strip()

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self.address}/{path}", headers={"X-API-Key": self._key})
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
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "var"
        with running(data) as workbench:
            say("first start, until it answers", workbench.seconds_to_answer, "s")
            say("demo experiment, from the start on", _demo(workbench), "s")
            _describe(workbench.experiment(1)["quality"])
            with signed_in(workbench.link) as page:
                _time_pages(page, workbench)
                times = clicks(page, experiment=1, prompts=20)
            say("lens, from click to heat map", statistics.median(times), "ms (median)")
        with running(data) as again:
            say("second start, until it answers", again.seconds_to_answer, "s")
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "latentlens.settings"}
    command = [sys.executable, "-c", WEB_IMPORT]
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = map(float, answer.stdout.split())
    say("importing the web process", seconds, "s")
    say("memory of the web process after that", megabytes, "MB")


def say(what: str, value: float, unit: str) -> None:
    print(f"{what:<44} {value:>8.2f} {unit}", flush=True)


def _demo(workbench: Workbench) -> float:
    started = time.monotonic()
    while (state := workbench.experiment(1))["status"] not in ("finished", "failed"):
        time.sleep(0.5)
    if state["status"] == "failed":
        raise SystemExit(f"The demo experiment failed: {state['error']}")
    return workbench.seconds_to_answer + time.monotonic() - started


def _describe(quality: dict[str, Any]) -> None:
    concepts = quality["concepts"]
    say("explained variance", quality["explained_variance"], "")
    say("dead features", quality["dead_share"], "")
    say("CE recovered, zero ablation", quality["ce_recovered_zero"], "")
    say("CE recovered, mean ablation", quality["ce_recovered_mean"], "")
    say("concepts found by one feature", concepts["single_share_f1_80"], f"of {len(concepts['rows'])}")
    say("concepts found by at most five", concepts["set_share_f1_80"], f"of {len(concepts['rows'])}")


def _time_pages(page: Page, workbench: Workbench) -> None:
    frequent = json.loads(workbench.get("api/features?experiment=1&ordering=-density&limit=1"))["items"][0]["index"]
    for pattern in PAGES:
        path, times = pattern.format(frequent), []
        for _ in range(20):
            started = time.perf_counter()
            if not page.request.get(f"{workbench.address}/{path}").ok:
                raise SystemExit(f"{path} was not answered")
            times.append(1000 * (time.perf_counter() - started))
        say(path, statistics.median(times), "ms (median)")


if __name__ == "__main__":
    main()
