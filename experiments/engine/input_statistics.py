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
class Scales:
    """The factors that bring what is read and what is reconstructed to a mean squared norm of one."""

    input: float
    output: float


@dataclass(frozen=True)
class InputStatistics:
    """The scales; the mean [W] of scaled inputs; the geometric median [W'] of scaled targets; a few scaled inputs."""

    scales: Scales
    mean: Tensor
    centre: Tensor
    inputs: Tensor  # [n, W] of the first


def measure(inputs: Tensor, targets: Tensor) -> InputStatistics:
    """Measures float32 hidden states [T, W] and [T, W'] in an order that mixes the text (medians read the first ones).

    An autoencoder's targets are the inputs themselves.
    """
    scale = _scale_of(inputs)
    scales = Scales(scale, scale if targets is inputs else _scale_of(targets))
    first = inputs[:ROWS_AT_ONCE] * scales.input
    median = geometric_median(targets[:MEDIAN_STATES] * scales.output)
    return InputStatistics(scales, inputs[:MEDIAN_STATES].mean(0) * scales.input, median, first)


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


def _scale_of(hidden_states: Tensor) -> float:
    sums = [float(rows.square().sum(1).cpu().double().sum()) for rows in torch.split(hidden_states, ROWS_AT_ONCE)]
    mean_square_norm = sum(sums) / max(1, len(hidden_states))
    return float(1 / max(mean_square_norm**0.5, 1e-12))
