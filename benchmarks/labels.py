"""How labels hold up: many people at once, a hundred thousand in files, and the machine's labels.

    python -m benchmarks.labels                 # all of it, in a folder that is thrown away (SQLite)

1. 20 people write 25 labels each at once, over HTTP, on SQLite: the 95th percentile of a write (target 250 ms), how
   many are lost (0), how many requests failed (0).
2. Thirty features on the labelling desk in a browser: from the key to the next one's evidence (target 150 ms).
3. 100,000 labels are exported and imported in every format (target 60 s each way), each in a process of its own; with
   its peak memory beside that of a process that does nothing with them.
4. Every feature of a synthetic index of 4,096 features and a million tokens is explained and tested (target 300 s).

Nothing else should use the machine meanwhile.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx
import numpy as np

from benchmarks.desk import FEATURES, next_features
from benchmarks.folders import ROOT
from benchmarks.lens_click import signed_in
from benchmarks.memory import peak_memory_mb
from benchmarks.workbench import running

PEOPLE, LABELS_EACH = 20, 25
LABELS_IN_FILES, FEATURES_WITH_LABELS = 100_000, 20_000
Figure: TypeAlias = tuple[str, float, str]


def main() -> None:
    if len(sys.argv) > 1:
        _child(*sys.argv[1:])
        return
    for what, value, unit in chain(of_people(), of_many_labels()):
        print(f"{what:<60} {value:>9.2f} {unit}", flush=True)


def of_people() -> Iterator[Figure]:
    """What people wait for. Each figure as soon as it is there."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "var"
        _run(data, "prepare")
        yield from _people_at_once(data)
        yield from _desk(data)


def of_many_labels() -> Iterator[Figure]:
    """Files, and machine labels."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "var"
        _run(data, "prepare")
        yield from _files(data, Path(folder))
        yield from _run(data, "explain")


def _people_at_once(data: Path) -> Iterator[Figure]:
    times: list[float] = []
    failed: list[str] = []
    with running(data) as workbench:
        key = (data / "secrets" / "api_key").read_text().strip()
        headers = {"X-API-Key": key, "content-type": "application/json"}
        page = httpx.get(f"{workbench.address}/api/features?experiment=1&limit=100", headers=headers).json()
        features = [item["id"] for item in page["items"]]
        start = threading.Barrier(PEOPLE)

        def person(number: int) -> None:
            # The plainest client there is: what it takes itself, it takes from the server.
            api = http.client.HTTPConnection(urlsplit(workbench.address).netloc, timeout=60)
            start.wait()
            for turn in range(LABELS_EACH):
                feature = features[(number * LABELS_EACH + turn) % len(features)]
                body = json.dumps({"text": f"{number} says {turn}"})
                began = time.perf_counter()
                api.request("POST", f"/api/features/{feature}/labels", body, headers)
                answer = api.getresponse()
                content = answer.read()
                times.append(1000 * (time.perf_counter() - began))
                if answer.status != 201:
                    failed.append(content.decode())

        people = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
        for thread in people:
            thread.start()
        for thread in people:
            thread.join()
    stored = next(value for what, value, _ in _run(data, "count") if what == "labels")
    yield f"{PEOPLE} people x {LABELS_EACH} labels at once, a write (p95)", float(np.percentile(times, 95)), "ms"
    yield "of these requests failed", len(failed), ""
    yield "labels lost", PEOPLE * LABELS_EACH - stored, ""


def _desk(data: Path) -> Iterator[Figure]:
    with running(data) as workbench, signed_in(workbench.link) as page:
        times = next_features(page, experiment=1)
    for name, share in (("median", 0.5), ("p95", 0.95)):
        yield f"next of {FEATURES} features on the desk, {name}", float(np.quantile(times, share)), "ms"


def _files(data: Path, folder: Path) -> Iterator[Figure]:
    yield from _run(data, "fill")
    yield from _run(data, "idle")
    for ending in ("csv", "json", "jsonl", "parquet", "h5"):
        yield from _run(data, "export", str(folder / f"labels.{ending}"))
    for ending in ("csv", "json", "jsonl", "parquet", "h5"):
        yield from _run(data, "import", str(folder / f"labels.{ending}"))


def _run(data: Path, *command: str) -> list[Figure]:
    """What a process of its own measured."""
    variables = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    variables |= {"DATA_DIR": str(data), "ENV_FILE": os.devnull, "DJANGO_SETTINGS_MODULE": "latentlens.settings"}
    child = [sys.executable, "-m", "benchmarks.labels", *command]
    done = subprocess.run(child, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 2]
    return [(what, float(value), unit) for what, value, unit in lines]


def _child(task: str, path: str = "") -> None:
    import django

    django.setup()
    started = time.perf_counter()
    _TASKS[task](path)
    seconds, megabytes = time.perf_counter() - started, peak_memory_mb()
    if task in ("export", "import", "explain"):
        what = Path(path).suffix[1:] or "4,096 features, 1M tokens"
        _tell(f"{task} {what}", seconds, "s")
        _tell(f"{task} {what}, peak memory", megabytes, "MB")
    elif task == "idle":
        _tell("a process that only starts, peak memory", megabytes, "MB")


def _tell(what: str, value: float, unit: str) -> None:
    print(f"{what}\t{value}\t{unit}")


def _prepare(_: str) -> None:
    from django.core.management import call_command

    from benchmarks.synthetic_index import Size, store_experiment
    from experiments.models import FirstStart

    call_command("migrate", verbosity=0)
    FirstStart.objects.create()
    store_experiment(Size(features=4_096, tokens=1_000_000))


def _count(_: str) -> None:
    from features.models import Label

    _tell("labels", Label.objects.count(), "")


def _fill(_: str) -> None:
    from features.models import Feature, Label
    from features.services.labels import Author, LabelDraft
    from features.services.labels.bulk import NewLabel, add_labels

    Label.objects.all().delete()
    features = list(Feature.objects.values_list("pk", flat=True)[:FEATURES_WITH_LABELS])
    draft = LabelDraft.of("a label of a usual length", "and a note on it", ["one", "two"], 0.6)
    for start in range(0, LABELS_IN_FILES, 1_000):
        rows = range(start, start + 1_000)
        add_labels([NewLabel(features[row % len(features)], draft) for row in rows], Author.machine("a benchmark"))


def _export(path: str) -> None:
    from django.core.management import call_command

    call_command("export_labels", 1, Path(path), verbosity=0, stdout=sys.stderr)


def _import(path: str) -> None:
    """Into an experiment without labels, so that every row is new; the check is part of it."""
    from django.core.management import call_command

    from features.models import Label

    Label.objects.all().delete()
    call_command("import_labels", 1, Path(path), verbosity=0, stdout=sys.stderr)
    if Label.objects.count() != LABELS_IN_FILES:
        raise RuntimeError(f"{Label.objects.count()} labels came back")


def _explain(_: str) -> None:
    from django.core.management import call_command

    from features.models import Label

    Label.objects.all().delete()
    call_command("label_by_machine", 1, verbosity=0, stdout=sys.stderr)


_TASKS = {
    "prepare": _prepare,
    "count": _count,
    "fill": _fill,
    "idle": lambda _: None,
    "export": _export,
    "import": _import,
    "explain": _explain,
}

if __name__ == "__main__":
    main()
