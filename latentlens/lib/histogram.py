"""A histogram on a logarithmic or an even axis as bars of an SVG; the template only prints numbers."""

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
    value: float
    anchor: str


@dataclass(frozen=True)
class Histogram:
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw(
    edges: Sequence[float],
    counts: Sequence[int],
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    is_logarithmic: bool = True,
) -> Histogram | None:
    """Bars and ticks for n counts between n + 1 rising edges, which are > 0 on a logarithmic axis; None without any
    count."""
    if not any(counts):
        return None
    places = _places([math.log(edge) for edge in edges] if is_logarithmic else edges, width)
    tallest = max(counts)
    bars = tuple(
        _bar(left, right, height * count / tallest, height, (low, high, count))
        for left, right, low, high, count in zip(places, places[1:], edges, edges[1:], counts, strict=False)
    )
    return Histogram(bars, _ticks(edges, places), width, height)


def _places(edges: Sequence[float], width: int) -> list[float]:
    """The x of each edge, given its place on the axis. Bins without width (a single value) share the axis equally."""
    low, high = edges[0], edges[-1]
    if high <= low:
        return [width * position / (len(edges) - 1) for position in range(len(edges))]
    return [width * (edge - low) / (high - low) for edge in edges]


def _bar(left: float, right: float, tall: float, height: int, counted: tuple[float, float, int]) -> Bar:
    low, high, count = counted
    tall = max(1.0, tall) if count else 0.0  # a rare value must not vanish
    return Bar(
        round(left, 2),
        round(height - tall, 2),
        round(max(right - left - _GAP, 0.5), 2),
        round(tall, 2),
        low,
        high,
        count,
    )


def _ticks(edges: Sequence[float], places: Sequence[float]) -> tuple[Tick, ...]:
    """The ends of the axis, and the middle edge between them."""
    middle = len(edges) // 2
    ends = (Tick(0, edges[0], "start"), Tick(round(places[-1], 2), edges[-1], "end"))
    return (ends[0], Tick(round(places[middle], 2), edges[middle], "middle"), ends[1]) if len(edges) > 2 else ends
