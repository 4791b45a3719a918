"""The density of a feature, and how sure one can be of it."""

from __future__ import annotations

import math
from typing import NamedTuple


class Interval(NamedTuple):
    low: float
    high: float


def wilson_interval(firings: int, tokens: int, z: float = 1.959964) -> Interval:
    """The 95 % interval of the share firings / tokens (Wilson 1927), also honest at 0 firings.

    It takes tokens as independent, which neighbours in a text are not quite: read it as the least uncertainty.
    """
    if tokens == 0:
        return Interval(0.0, 1.0)
    share = firings / tokens
    scale = 1 + z**2 / tokens
    centre = (share + z**2 / (2 * tokens)) / scale
    half_width = z / scale * math.sqrt(share * (1 - share) / tokens + z**2 / (4 * tokens**2))
    # At the ends the formula gives exactly 0 and 1, but for rounding.
    low = centre - half_width if firings > 0 else 0.0
    high = centre + half_width if firings < tokens else 1.0
    return Interval(low, high)
