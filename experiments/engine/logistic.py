"""Logistic regression for probes: small, exact and in float64, with the penalty that scikit-learn has by default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
NEWTON_STEPS = 30
HALVINGS = 20


@dataclass(frozen=True)
class Probe:
    """A direction and an offset: what is above zero along it carries the concept."""

    direction: Floats  # [numbers]
    offset: float

    def finds(self, inputs: Floats) -> Bools:
        """Which of `inputs` [n, numbers] carry the concept: [n]."""
        return inputs @ self.direction + self.offset > 0


def fit_probe(inputs: Floats, carries: Bools) -> Probe:
    """The least |w|^2 / 2 + sum of log losses over standardised `inputs` [n, numbers], by Newton's method."""
    mean, scale = inputs.mean(0), inputs.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (inputs - mean) / scale
    if standard.shape[1] > len(standard):  # the solution lies in the span of the inputs, which is smaller
        left, singular, right = np.linalg.svd(standard, full_matrices=False)
        weights = _newton(left * singular, carries)
        direction = right.T @ weights[:-1]
    else:
        weights = _newton(standard, carries)
        direction = weights[:-1]
    direction = direction / scale
    return Probe(direction, float(weights[-1] - direction @ mean))


def _newton(inputs: Floats, carries: Bools) -> Floats:
    """Weights of the inputs [n, d] and, last, the offset, which is not penalised: [d + 1]."""
    columns = np.c_[inputs, np.ones(len(inputs))]
    penalty = np.r_[np.ones(inputs.shape[1]), 0.0]
    signs = np.where(carries, 1.0, -1.0)

    def cost(weights: Floats) -> float:
        return float(np.logaddexp(0, -signs * (columns @ weights)).sum() + penalty @ weights**2 / 2)

    weights = np.zeros(columns.shape[1])
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(-np.clip(columns @ weights, -500, 500)))
        gradient = columns.T @ (share - carries) + penalty * weights
        curvature = (columns * (share * (1 - share))[:, None]).T @ columns + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        before = cost(weights)
        for _ in range(HALVINGS):  # a whole step may overshoot where the data can be told apart well
            if cost(weights - step) <= before:
                break
            step = step / 2
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights
