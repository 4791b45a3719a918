"""The training curves: which metrics are drawn, and each as an SVG path for pages without JavaScript."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Max
from django.db.models.functions import Mod

from experiments.engine.config import HAS_PENALTY_CURVE
from experiments.metric_explanations import EXPLANATIONS, Explanation
from experiments.models import Metric
from experiments.templatetags.quantities import count

MOST_POINTS = 1_000
WIDTH, HEIGHT = 560, 150
GRID_LINES = 4


@dataclass(frozen=True)
class CurveKind:
    """A metric that has a curve, and how its axis reads."""

    metric: str
    unit: str
    colour: str

    @property
    def explanation(self) -> Explanation:
        return EXPLANATIONS[self.metric]


KINDS = (
    CurveKind("loss", "", "accent"),
    CurveKind("explained_variance", "", "good"),
    CurveKind("l0", "active features per token", "accent"),
    CurveKind("dead_share", "%", "warn"),
)
PENALTY = CurveKind("penalty", "", "accent")


@dataclass(frozen=True)
class GridLine:
    y: float
    label: str


@dataclass(frozen=True)
class Curve:
    """One curve, ready to be drawn in a box of WIDTH by HEIGHT."""

    kind: CurveKind
    points: str
    newest: str
    grid: tuple[GridLine, ...]
    last_tokens: str


def metric_points(experiment_id: int) -> list[dict[str, Any]]:
    """At most MOST_POINTS metrics of an experiment, evenly thinned, always with the newest; each as an event."""
    metrics = Metric.objects.filter(experiment_id=experiment_id)
    total, newest = metrics.count(), metrics.aggregate(newest=Max("id"))["newest"]
    stride = math.ceil(total / MOST_POINTS)
    if stride > 1:
        metrics = metrics.annotate(place=Mod(F("id"), stride)).filter(place=newest % stride)
    return [metric_event(metric) for metric in metrics.order_by("sequence")]


def metric_event(metric: Metric) -> dict[str, Any]:
    """A metric as pages and sockets are told of it."""
    return {"seq": metric.sequence, "step": metric.step, "tokens": metric.tokens, "values": metric.values}


def curves_of(points: Sequence[dict[str, Any]], architecture: str) -> list[Curve]:
    """The curves that the architecture has; empty ones while there is nothing to draw."""
    kinds = (*KINDS, PENALTY) if architecture in HAS_PENALTY_CURVE else KINDS
    return [_curve(kind, points) for kind in kinds]


def _curve(kind: CurveKind, points: Sequence[dict[str, Any]]) -> Curve:
    known = [(p["tokens"], p["values"][kind.metric]) for p in points if p["values"].get(kind.metric) is not None]
    if not known:
        return Curve(kind, "", "", (), "")
    last = known[-1][0] or 1
    low, high = _range([value for _, value in known])
    path = " ".join(
        f"{WIDTH * tokens / last:.1f},{HEIGHT * (high - value) / (high - low):.1f}" for tokens, value in known
    )
    levels = [high - (high - low) * line / (GRID_LINES - 1) for line in range(GRID_LINES)]
    grid = tuple(GridLine(HEIGHT * line / (GRID_LINES - 1), read(kind, level)) for line, level in enumerate(levels))
    return Curve(kind, path, read(kind, known[-1][1]), grid, count(last))


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From zero, or below where there are negative values, to the largest; never empty."""
    low, high = min(0.0, *values), max(values)
    return low, high if high > low else low + 1.0


def read(kind: CurveKind, value: float) -> str:
    """A value of the curve as it is written beside it."""
    if kind.unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
