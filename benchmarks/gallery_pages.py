"""How long pages of the gallery and of features take, with their queries and bytes: printed by benchmarks.catalogue.

The whole request is timed, from URL to HTML, by a signed-in client in this process. Targets on 131,072 features: the
gallery's p95 below 150 ms on SQLite and 100 ms on Postgres, at most 8 queries, less than 300 KB; a feature's page below
200 ms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.figures import tell


def pages(experiment_id: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Pages with a name and the gallery's address; tokens and words are those of the synthetic index."""
    yield "cards", {}
    yield "table", {"view": "table"}
    yield "filtered by ranges", {"min_density": "0.001%", "max_density": "0.01%", "min_max_activation": "5"}
    yield "filtered by token", {"token": " kelo"}
    yield "filtered by promoted token", {"promoted": " kelo"}
    yield "unlabelled", {"labelled": "false"}
    yield "ordered by confidence", {"ordering": "-confidence"}
    yield "ordered by score", {"ordering": "-score", "view": "table"}
    yield "ordered by label", {"ordering": "label"}
    yield "ordered by share of one token", {"ordering": "-token_share", "dead": "false"}
    yield "searched, a rare word", {"words": "kelomi"}
    yield "searched, the beginning of many words", {"words": "ke"}
    yield "nearest by direction", {"like": "12"}
    yield "last page", {"ordering": "-density", "cursor": last_cursor(experiment_id)}


def last_cursor(experiment_id: int) -> str:
    """After this only a few features are left in the usual order."""
    from features.models import Feature
    from features.services.gallery import ORDERINGS
    from latentlens.lib.paging import cursor_after

    rarest = Feature.objects.filter(experiment=experiment_id).order_by("density", "pk")
    return cursor_after(rarest[20], ORDERINGS["-density"])


def report_pages(experiment_id: int, times: int, features: list[int]) -> None:
    """The gallery in each of its states `times` times over, and the page of each of these features once."""
    from django.urls import reverse

    client = signed_in_client()
    gallery = reverse("features:gallery", args=[experiment_id])
    for name, state in pages(experiment_id):
        answer(client, gallery, state)
        report(f"gallery, {name}", [measured(client, gallery, state) for _ in range(times)])
    addresses = [reverse("features:detail", args=[experiment_id, feature]) for feature in features]
    answer(client, addresses[0], {})
    report("feature pages", [measured(client, address, {}) for address in addresses[1:]])


def measured(client: Any, address: str, state: dict[str, str]) -> tuple[float, int, int]:
    """Milliseconds, queries and bytes of one page. They are counted while it is timed."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        started = time.perf_counter()
        size = len(answer(client, address, state))
        milliseconds = 1000 * (time.perf_counter() - started)
    return milliseconds, len(queries), size


def report(name: str, answers: list[tuple[float, int, int]]) -> None:
    """Time as a median and p95; of queries and bytes the most."""
    milliseconds, queries, sizes = zip(*answers, strict=True)
    median, high = np.quantile(milliseconds, [0.5, 0.95])
    tell(f"{name}, p50", median, "ms")
    tell(f"{name}, p95", high, "ms")
    tell(f"{name}, queries", max(queries))
    tell(f"{name}, size", max(sizes) / 1000, "kB")


def signed_in_client() -> Any:
    """A client of this process for a person of its own; pages name their static files, so these are collected first."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get_or_create(username="benchmark")[0])
    return client


def answer(client: Any, address: str, state: dict[str, str]) -> bytes:
    response = client.get(address, state)
    assert response.status_code == 200, (state, response.status_code)
    return bytes(response.content)
