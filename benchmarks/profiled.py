"""An experiment from click to catalogue in this process, sampled: `python -m benchmarks.profiled CASE [--no-floors]`.

CASE is JSON. Prints one JSON line: seconds of each part, peak memory, and the floors of the parts. It is what happens
on an installation: the API's request, the runner over SQLite, the engine, the import, the first page; only the worker's
process is this one, so that waiting for the broker (some 25 ms) and a fork are left out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """On the built-in model and corpus, or on GPT-2's shape with random weights and the benchmark text."""

    model: str = "builtin"
    tokens: int = 1_000_000
    n_features: int = 1_280
    k: int = 5
    layer: int = 2
    evaluation_tokens: int = 100_000
    splice_tokens: int = 16_384
    harvest_tokens: int = 300_000

    @property
    def settings(self) -> dict[str, Any]:
        """By the names that the API knows."""
        amounts = asdict(self)
        return {"training_tokens": amounts.pop("tokens"), "learning_rate": 3e-3} | amounts


NO_FLOORS = "--no-floors"
BUILTIN = Case()
GPT2 = Case("gpt2-small-shape", 1_000_000, 24_576, 32, 6, 16_384, 4_096, 65_536)


def main() -> None:
    case = Case(**json.loads(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DATA_DIR": folder, "ENV_FILE": os.devnull, "LOG_LEVEL": "ERROR", "DEVICE": "cpu"}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "latentlens.settings", "ALLOWED_HOSTS": "localhost"}
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        print(json.dumps(_profiled(case, Path(folder))))


def _profiled(case: Case, folder: Path) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    if case.model != "builtin":
        from benchmarks.inputs import language_model

        (folder / "models").mkdir(exist_ok=True)
        (folder / "models" / case.model).symlink_to(language_model())
    corpus = _corpus(case)
    return _from_click_to_catalogue(case, corpus)


def _corpus(case: Case) -> str:
    """The id of the corpus; the benchmark text is uploaded before the clock starts."""
    if case.model == "builtin":
        return "builtin"
    from django.core.files.uploadedfile import SimpleUploadedFile

    from benchmarks.inputs import TEXT
    from experiments.services.corpora import add_upload

    return str(add_upload(SimpleUploadedFile(TEXT.name, TEXT.read_bytes())).pk)


def _from_click_to_catalogue(case: Case, corpus: str) -> dict[str, Any]:
    from django.conf import settings
    from django.test import Client

    from benchmarks.memory import peak_memory_mb
    from benchmarks.parts_of_an_experiment import CLICK, FIRST_PAGE, REST, RULES
    from benchmarks.sampling import Sampler
    from experiments.models import Experiment
    from latentlens.lib.large_blocks import keep_large_blocks

    keep_large_blocks()  # as in the child of a worker
    client = Client(headers={"X-API-Key": settings.API_KEY, "host": "localhost"})
    started = time.perf_counter()
    body = case.settings | {"corpus": corpus}
    answer = client.post("/api/experiments", json.dumps(body), content_type="application/json")
    if answer.status_code != 201:
        raise SystemExit(answer.content.decode())
    clicked = time.perf_counter()
    number = answer.json()["id"]
    with Sampler(RULES, REST) as sampler:
        from experiments.runner import run

        run(number)
    ran = time.perf_counter()
    experiment = Experiment.objects.get(pk=number)
    if experiment.status != Experiment.Status.FINISHED:
        raise SystemExit(f"The experiment did not finish: {experiment.error}")
    page = _first_page(number)
    seconds = {CLICK: clicked - started, FIRST_PAGE: page} | dict(sampler.seconds)
    total = ran - started + page
    return {
        "case": asdict(case),
        "total": total,
        "seconds": seconds,
        "floors": {} if NO_FLOORS in sys.argv else _floors(experiment),
        "rss_mb": peak_memory_mb(),
        "path": experiment.resources.get("training", {}).get("path", ""),
    }


def _floors(experiment: Any) -> dict[str, tuple[float, str]]:
    from benchmarks.floors import floors_of

    return floors_of(experiment)


def _first_page(experiment: int) -> float:
    from django.test import Client

    from latentlens.accounts.services import installation_owner

    client = Client(headers={"host": "localhost"})
    client.force_login(installation_owner(), backend="django.contrib.auth.backends.ModelBackend")
    started = time.perf_counter()
    answer = client.get(f"/experiments/{experiment}/features/")
    seconds = time.perf_counter() - started
    if answer.status_code != 200:
        raise SystemExit(f"The first page was answered with {answer.status_code}")
    return seconds


if __name__ == "__main__":
    main()
