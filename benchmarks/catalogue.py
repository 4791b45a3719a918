"""How long the catalogue takes to answer on an installation's index: the reader's questions, searches, and pages.

    python -m benchmarks.synthetic_index            # once: prints the number of its experiment
    python -m benchmarks.catalogue EXPERIMENT

    make bench ARGS="--only catalogue"              # both, in a folder that is thrown away, and the pages in a browser
    make bench ARGS="--only catalogue-postgres --postgres postgres://postgres@127.0.0.1/"   # the pages, on Postgres

Each question is asked about features drawn with a seed, in a process that has asked before, so that what a web process
keeps between requests is there. Targets: top-20 lookup 50 ms and a boolean query of two features 1 s, both at p95, on
131,072 features and 10 million tokens. Nothing else should use the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from benchmarks.figures import Figure, figures_of, tell
from benchmarks.gallery_pages import report_pages
from benchmarks.lens_click import signed_in
from benchmarks.synthetic_index import Size
from benchmarks.workbench import running, times_of_pages

if TYPE_CHECKING:
    from experiments.engine.artifacts import ExperimentFolder

Question = Callable[[int, int], object]  # of two features


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
    django.setup()
    from experiments.services.folders import experiment_folder

    parser = argparse.ArgumentParser(description="Time the questions that the catalogue asks of an activation index.")
    parser.add_argument("experiment", type=int)
    parser.add_argument("--times", type=int, default=40, help="how often each question is asked (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pages", action="store_true", help="pages alone, which are what depends on the database")
    arguments = parser.parse_args()
    folder = experiment_folder(arguments.experiment)
    features = live_features(folder)
    random = np.random.default_rng(arguments.seed)
    if not arguments.pages:
        describe(folder, len(features))
        for name, question in questions(folder):
            pairs = random.choice(features, size=(arguments.times + 1, 2)).tolist()
            question(*pairs[0])
            report(name, [timed(question, *pair) for pair in pairs[1:]])
    report_pages(arguments.experiment, arguments.times, random.choice(features, size=arguments.times + 1).tolist())


def figures(size: Size) -> Iterator[Figure]:
    """All of an index of `size`, on an installation that is thrown away: how it was made, answers, pages."""
    with tempfile.TemporaryDirectory() as folder:
        data, started = Path(folder) / "var", time.monotonic()
        size_of_index = (f"--features={size.features}", f"--tokens={size.tokens}")
        list(figures_of("benchmarks.synthetic_index", "--new", *size_of_index, data=data))
        yield "making the synthetic index and its catalogue", time.monotonic() - started, "s"
        yield from figures_of("benchmarks.catalogue", "1", data=data)
        with running(data) as workbench, signed_in(workbench.link) as page:
            for what, value, unit in times_of_pages(page, workbench):
                yield f"of {size.features:,} features: {what}", value, unit


def figures_on_postgres(size: Size, server: str) -> Iterator[Figure]:
    """The pages of an index of `size`, with a database of our own on the server at this URL, dropped afterwards."""
    with tempfile.TemporaryDirectory() as folder, own_database(server) as database:
        data, started = Path(folder) / "var", time.monotonic()
        arguments = ("--new", f"--features={size.features}", f"--tokens={size.tokens}")
        list(figures_of("benchmarks.synthetic_index", *arguments, data=data, database=database))
        yield "Postgres: making the synthetic index and its catalogue", time.monotonic() - started, "s"
        for what, value, unit in figures_of("benchmarks.catalogue", "1", "--pages", data=data, database=database):
            yield f"Postgres: {what}", value, unit


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """The URL of a new database on the server that this URL leads to, by a role that may make one."""
    import psycopg

    name = f"latentlens_bench_{os.getpid()}"
    with psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def live_features(folder: ExperimentFolder) -> list[int]:
    from features.activation_index import ActivationIndex

    return [feature for feature, firings in ActivationIndex(folder).most_frequent(0) if firings]


def describe(folder: ExperimentFolder, live: int) -> None:
    """What is asked, and what an activation takes on disk, all files of the index counted."""
    from features.activation_index import ActivationIndex

    index = ActivationIndex(folder)
    activations = index.files.rows("SELECT count(*) FROM read_parquet($activations)")[0][0]
    size = sum(path.stat().st_size for path in Path(folder.index).iterdir())
    tell("live features of the index", live)
    tell("tokens of the index", index.token_count())
    tell("activations in the index", activations)
    tell("bytes of the index per activation", size / activations)


def questions(folder: ExperimentFolder) -> Iterator[tuple[str, Question]]:
    """Every question with a name; each is asked by a reader of its own, as each request does."""
    from features.activation_index import ActivationIndex
    from features.queries.search import Search

    def ask() -> ActivationIndex:
        return ActivationIndex(folder)

    yield "top 20 examples, one per document", lambda one, other: ask().examples(one, count=20)
    yield "top 20 firings", lambda one, other: ask().examples(one, count=20, one_per_document=False)
    yield "five strata of three examples", lambda one, other: ask().strata(one)
    yield "five near misses", lambda one, other: ask().near_misses(one)
    yield "counts and interval", lambda one, other: ask().counts(one).interval
    yield "histogram", lambda one, other: ask().histogram(one)
    yield "tokens with precision and recall", lambda one, other: ask().tokens_fired_on(one)
    yield "places in the window", lambda one, other: ask().window_bins(one)
    yield "co-firing, same token", lambda one, other: ask().co_firing(one)
    yield "co-firing, within 3 tokens", lambda one, other: ask().co_firing(one, within=3)
    for query in (
        "fires({0}) and not fires({1})",
        "fires({0}) and fires({1})",
        "fires({0}) or activation({1}) > 5",
        'fires({0}) and token ~ "ke" and next ~ "lo"',
        "fires({0}) within 5 tokens of fires({1})",
    ):
        yield query.format("A", "B"), lambda one, other, query=query: Search(ask(), query.format(one, other)).page(20)


def timed(question: Question, one: int, other: int) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    question(one, other)
    return 1000 * (time.perf_counter() - started)


def report(name: str, milliseconds: list[float]) -> None:
    median, high = np.quantile(milliseconds, [0.5, 0.95])
    tell(f"{name}, p50", median, "ms")
    tell(f"{name}, p95", high, "ms")


if __name__ == "__main__":
    main()
