"""The histogram of a feature's activations as bars of an SVG; the template only prints numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 320, 96
_GAP = 1


@dataclass(frozen=True)
class Bar:
    """One bin: where its bar is, in SVG units, and what it counts. The last bin includes its upper edge."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Tick:
    x: float
    activation: float
    anchor: str


@dataclass(frozen=True)
class Histogram:
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw(edges: Sequence[float], counts: Sequence[int]) -> Histogram | None:
    """Bars and ticks for n counts between n + 1 rising edges > 0, on a logarithmic axis; None where nothing fired."""
    if not any(counts):
        return None
    places = _places(edges)
    tallest = max(counts)
    bars = tuple(
        _bar(left, right, count / tallest, low, high, count)
        for left, right, low, high, count in zip(places, places[1:], edges, edges[1:], counts, strict=False)
    )
    return Histogram(bars, _ticks(edges, places))


def _places(edges: Sequence[float]) -> list[float]:
    """The x of each edge. Bins without any width (one single value) share the axis equally."""
    low, high = math.log(edges[0]), math.log(edges[-1])
    if high <= low:
        return [WIDTH * position / (len(edges) - 1) for position in range(len(edges))]
    return [WIDTH * (math.log(edge) - low) / (high - low) for edge in edges]


def _bar(left: float, right: float, share: float, low: float, high: float, count: int) -> Bar:
    height = max(1.0, HEIGHT * share) if count else 0.0  # a rare activation must not vanish
    return Bar(
        round(left, 2),
        round(HEIGHT - height, 2),
        round(max(right - left - _GAP, 0.5), 2),
        round(height, 2),
        low,
        high,
        count,
    )


def _ticks(edges: Sequence[float], places: Sequence[float]) -> tuple[Tick, ...]:
    """The ends of the axis, and the middle edge between them."""
    middle = len(edges) // 2
    ends = (Tick(0, edges[0], "start"), Tick(WIDTH, edges[-1], "end"))
    return (ends[0], Tick(round(places[middle], 2), edges[middle], "middle"), ends[1]) if len(edges) > 2 else ends
