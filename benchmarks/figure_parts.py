"""Parts of the benchmarks that have no peer beside them, with what their figures are to reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks import catalogue, labels, workbench
from benchmarks.figures import Figure, figures_of
from benchmarks.synthetic_index import Size
from benchmarks.targets import Target

QUICK_INDEX = Size(features=16_384, tokens=1_000_000)


@dataclass(frozen=True)
class Circumstances:
    """Is the run to be quick, and where is a Postgres server (a URL)?"""

    quick: bool = False
    postgres: str = ""

    @property
    def index(self) -> Size:
        return QUICK_INDEX if self.quick else Size()


@dataclass(frozen=True)
class FigurePart:
    """`targets` belong to the first pattern that fits a figure's name."""

    about: str
    measure: Callable[[Circumstances], Iterator[Figure]]
    targets: tuple[tuple[str, Target | None], ...] = ()

    def target_of(self, what: str) -> Target | None:
        return next((target for pattern, target in self.targets if fnmatchcase(what, pattern)), None)


def at_most(bound: float, unit: str = "") -> Target:
    return Target(bound, at_least=False, unit=f" {unit}" if unit else "")


def _on_postgres(run: Circumstances) -> Iterator[Figure]:
    if not run.postgres:
        raise LookupError("a server is needed: --postgres URL")
    return catalogue.figures_on_postgres(run.index, run.postgres)


FIGURE_PARTS = {
    "workbench": FigurePart("first start, demo, pages, lens", lambda run: workbench.figures()),
    "catalogue": FigurePart(
        "questions to a large index, searches, pages",
        lambda run: catalogue.figures(run.index),
        (
            ("top 20*, p95", at_most(50, "ms")),
            ("*fires(*, p95", at_most(1_000, "ms")),
            ("gallery, *, p95", at_most(150, "ms")),
            ("feature pages, p95", at_most(200, "ms")),
            ("*, queries", at_most(8)),
            ("*, size", at_most(300, "kB")),
            ("bytes of the index per activation", at_most(8)),
        ),
    ),
    "catalogue-postgres": FigurePart(
        "the same pages on Postgres",
        _on_postgres,
        (
            ("*gallery, *, p95", at_most(100, "ms")),
            ("*feature pages, p95", at_most(200, "ms")),
            ("*, queries", at_most(8)),
            ("*, size", at_most(300, "kB")),
        ),
    ),
    "own-forward": FigurePart(
        "the harvest beside the model's own forward",
        lambda run: figures_of("benchmarks.harvest"),
        (("harvest / own forward", at_most(1.25)), ("bytes per activation", at_most(8))),
    ),
    "labelling": FigurePart(
        "many people at once, the desk",
        lambda run: labels.of_people(),
        (
            ("*, a write (p95)", at_most(250, "ms")),
            ("of these requests failed", at_most(0)),
            ("labels lost", at_most(0)),
            ("next of 30 features on the desk, p95", at_most(150, "ms")),
        ),
    ),
    "labels": FigurePart(
        "files, machine labels",
        lambda run: labels.of_many_labels(),
        (
            ("*, peak memory", None),
            ("export *", at_most(60, "s")),
            ("import *", at_most(60, "s")),
            ("explain *", at_most(300, "s")),
        ),
    ),
}
