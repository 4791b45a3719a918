"""What is measured once, on the first segment, and then fixed for the whole training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Hidden states with a larger norm than this many medians are attention sinks and the like: left out everywhere.
OUTLIER_MEDIANS = 10.0
MEDIAN_STATES = 32_768  # Gao et al. 2024 take the geometric median of as many
WEISZFELD_STEPS = 100
WEISZFELD_TOLERANCE = 1e-5  # of the scaled states, whose mean square norm is one
ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class InputStatistics:
    """`scale` brings hidden states to a mean squared norm of one; `centre` [width] is their scaled geometric median."""

    scale: float
    centre: Tensor


def measure(hidden_states: Tensor) -> InputStatistics:
    """Measures float32 hidden states [T, width] in an order that mixes the text (the median reads the first ones)."""
    scale = 1 / max(_mean_square_norm(hidden_states) ** 0.5, 1e-12)
    return InputStatistics(scale, geometric_median(hidden_states[:MEDIAN_STATES] * scale))


def geometric_median(points: Tensor) -> Tensor:
    """The point with the least summed distance to `points` [T, width], by Weiszfeld's iteration: [width]."""
    median = points.mean(0)
    for _ in range(WEISZFELD_STEPS):
        weights = torch.cat([(rows - median).norm(dim=1) for rows in torch.split(points, ROWS_AT_ONCE)])
        weights = 1 / weights.clamp_min(1e-8)  # a point under the median would weigh infinitely
        following = (weights @ points) / weights.sum()
        moved = float((following - median).norm())
        median = following
        if moved < WEISZFELD_TOLERANCE:
            break
    return median


def _mean_square_norm(hidden_states: Tensor) -> float:
    sums = [float(rows.double().square().sum()) for rows in torch.split(hidden_states, ROWS_AT_ONCE)]
    return sum(sums) / max(1, len(hidden_states))
