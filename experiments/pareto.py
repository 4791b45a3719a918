"""What came out of a sweep: the table of its experiments, and charts of how much L0 buys, as SVG coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.engine.config import ARCHITECTURES
from experiments.metric_explanations import EXPLANATIONS, Explanation
from experiments.models import Experiment, Sweep
from experiments.services.sweeps import members_of

WIDTH, HEIGHT = 520, 300
MARGIN = 0.06  # of the range of values, so that no point lies on the frame
NICE_STEPS = (1.0, 2.0, 5.0)
# One shape for each architecture, as an SVG path around its point, so that they are told apart without colour.
SHAPES = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "M-4.5,-4.5h9v9h-9z",
    "M0,-6.5l6,6.5l-6,6.5l-6,-6.5z",
    "M0,-6l6,10.5h-12z",
    "M0,6l6,-10.5h-12z",
    "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
)
MARKS = dict(zip(ARCHITECTURES, SHAPES, strict=True))
COLUMNS: dict[str, Callable[[Experiment], Any]] = {
    "experiment": lambda experiment: experiment.pk,
    "name": lambda experiment: experiment.name,
    "status": lambda experiment: experiment.status,
    "architecture": lambda experiment: experiment.architecture,
    "layer": lambda experiment: experiment.layer,
    "site": lambda experiment: experiment.site,
    "n_features": lambda experiment: experiment.n_features,
    "k": lambda experiment: experiment.k,
    "sparsity_coefficient": lambda experiment: experiment.config["sae"]["sparsity_coefficient"],
    "seed": lambda experiment: experiment.seed,
}
# The charts' metrics, and how their upward axis reads.
UNITS = {
    "explained_variance": "share of the variance (1 is all)",
    "ce_recovered_zero": "share of the cross-entropy recovered (1 is all)",
}
NUMBERS = ("l0", "explained_variance", "ce_recovered_zero", "dead_share")


@dataclass(frozen=True)
class Point:
    """One finished experiment in a chart."""

    experiment: Experiment
    x: float
    y: float
    mark: str
    words: str
    is_best: bool


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """L0 against one quality number, in a box of WIDTH by HEIGHT. Empty while nothing is finished."""

    metric: str
    unit: str
    explanation: Explanation
    points: tuple[Point, ...] = ()
    frontier: str = ""
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()


def sweep_rows(sweep: Sweep) -> list[list[Any]]:
    """The table with its head: what was asked for, and what came out (empty where it is not known yet)."""
    rows = [
        [*(read(experiment) for read in COLUMNS.values()), *(_number(experiment, name) for name in NUMBERS)]
        for experiment in members_of(sweep)
    ]
    return [[*COLUMNS, *NUMBERS], *rows]


def charts(experiments: Sequence[Experiment]) -> list[Chart]:
    """L0 against explained variance and against recovered cross-entropy."""
    return [_chart(metric, experiments) for metric in UNITS]


def legend(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """The title and the shape of every architecture that there is."""
    present = {experiment.architecture for experiment in experiments}
    return [(ARCHITECTURES[name].title, shape) for name, shape in MARKS.items() if name in present]


def frontier_of(pairs: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pairs (L0, quality) that no other pair beats with less or equal L0, by rising L0."""
    best: list[tuple[float, float]] = []
    for l0, quality in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not best or quality > best[-1][1]:
            best.append((l0, quality))
    return best


def _chart(metric: str, experiments: Sequence[Experiment]) -> Chart:
    known = [(found, _number(found, "l0"), _number(found, metric)) for found in experiments]
    measured = [(found, l0, value) for found, l0, value in known if l0 and l0 > 0 and value is not None]
    if not measured:
        return Chart(metric, UNITS[metric], EXPLANATIONS[metric])
    across = _Axis.over([math.log10(l0) for _, l0, _ in measured], least=0.3)
    upward = _Axis.over([value for _, _, value in measured], least=0.01)
    best = frontier_of((l0, value) for _, l0, value in measured)

    def place(l0: float, value: float) -> tuple[float, float]:
        return WIDTH * across.share(math.log10(l0)), HEIGHT * (1 - upward.share(value))

    points = tuple(
        Point(
            found, *place(l0, value), MARKS.get(found.architecture, SHAPES[0]), f"L0 {l0:.3g}, {value:.4f}",
            (l0, value) in best,
        )
        for found, l0, value in measured
    )  # fmt: skip
    line = " ".join("{:.1f},{:.1f}".format(*place(*pair)) for pair in best)
    x_ticks = tuple(Tick(WIDTH * across.share(math.log10(at)), f"{at:g}") for at in _log_ticks(across))
    y_ticks = tuple(Tick(HEIGHT * (1 - upward.share(at)), f"{at:.{upward.decimals}f}") for at in upward.ticks())
    return Chart(metric, UNITS[metric], EXPLANATIONS[metric], points, line, x_ticks, y_ticks)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float], *, least: float) -> _Axis:
        """From the smallest to the largest with a margin, and at least `least` long."""
        low, high = min(values), max(values)
        missing = max(0.0, least - (high - low)) / 2
        margin = MARGIN * max(high - low, least)
        return cls(low - missing - margin, high + missing + margin)

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    @property
    def step(self) -> float:
        """A nice distance of about four ticks."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        return next((nice * power for nice in NICE_STEPS if nice * power >= rough), 10 * power)

    @property
    def decimals(self) -> int:
        return max(0, -math.floor(math.log10(self.step)))

    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step)
        return [number * self.step for number in range(first, math.floor(self.high / self.step) + 1)]


def _log_ticks(axis: _Axis) -> list[float]:
    """1, 2, 5, 10, 20, ... within the axis, which is of logarithms; all numbers between where it is short."""
    powers = range(math.floor(axis.low), math.ceil(axis.high) + 1)
    fine = axis.high - axis.low < 1
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8) if fine else (1, 2, 5)
    return [
        step * 10.0**power for power in powers for step in steps if axis.low <= math.log10(step) + power <= axis.high
    ]


def _number(experiment: Experiment, name: str) -> float | None:
    value = experiment.quality.get(name)
    return float(value) if isinstance(value, int | float) else None
