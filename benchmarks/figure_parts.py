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
class FigurePart:
    """`measure` is told whether it is to be quick; `targets` belong to the first pattern that fits a figure's name."""

    about: str
    measure: Callable[[bool], Iterator[Figure]]
    targets: tuple[tuple[str, Target | None], ...] = ()

    def target_of(self, what: str) -> Target | None:
        return next((target for pattern, target in self.targets if fnmatchcase(what, pattern)), None)


def at_most(bound: float, unit: str = "") -> Target:
    return Target(bound, at_least=False, unit=f" {unit}" if unit else "")


FIGURE_PARTS = {
    "workbench": FigurePart("first start, demo, pages, lens", lambda quick: workbench.figures()),
    "catalogue": FigurePart(
        "questions to a large index, searches, pages",
        lambda quick: catalogue.figures(QUICK_INDEX if quick else Size()),
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
    "own-forward": FigurePart(
        "the harvest beside the model's own forward",
        lambda quick: figures_of("benchmarks.harvest"),
        (("harvest / own forward", at_most(1.25)), ("bytes per activation", at_most(8))),
    ),
    "labelling": FigurePart(
        "many people at once, the desk",
        lambda quick: labels.of_people(),
        (
            ("*, a write (p95)", at_most(250, "ms")),
            ("of these requests failed", at_most(0)),
            ("labels lost", at_most(0)),
            ("next of 30 features on the desk, p95", at_most(150, "ms")),
        ),
    ),
    "labels": FigurePart(
        "files, machine labels",
        lambda quick: labels.of_many_labels(),
        (
            ("*, peak memory", None),
            ("export *", at_most(60, "s")),
            ("import *", at_most(60, "s")),
            ("explain *", at_most(300, "s")),
        ),
    ),
}
