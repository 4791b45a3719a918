"""The optimiser step over one matrix: everything that happens to a row, while it is in the cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.engine.kernels.compiled.bfloat16 import rounded
from experiments.engine.kernels.compiled.ranges import Array, array_of, compiled, rows_of, shared_out

SMALLEST_LENGTH = 1e-12


class Factors(NamedTuple):
    """The numbers of one step of Adam, with its corrections worked in."""

    scale: float  # of the gradients, from clipping
    beta1: float
    beta2: float
    rate: float  # learning rate / (1 - beta1^step)
    correction: float  # 1 / sqrt(1 - beta2^step)
    epsilon: float


@compiled
def _products_of_rows(first: int, last: int, gradient: Array, weight: Array, squares: Array, along: Array) -> None:
    for number in range(first, last):
        row, direction = gradient[number], weight[number]
        square, product = np.float32(0), np.float32(0)
        for j in range(len(row)):
            square += row[j] * row[j]
            product += row[j] * direction[j]
        squares[number], along[number] = square, product


@compiled
def _update_row(
    weight: Array, gradient: Array, first_moment: Array, second_moment: Array, along: Any, factors: Array
) -> Any:
    """Adam on what is left of a row's gradient without `along` times the row; returns the row's square."""
    scale, beta1, beta2, rate, correction, epsilon = factors
    one, square = np.float32(1), np.float32(0)
    for j in range(len(weight)):
        slope = scale * (gradient[j] - along * weight[j])
        mean = beta1 * first_moment[j] + (one - beta1) * slope
        spread = beta2 * second_moment[j] + (one - beta2) * slope * slope
        changed = weight[j] - rate * mean / (np.sqrt(spread) * correction + epsilon)
        first_moment[j], second_moment[j], weight[j] = mean, spread, changed
        square += changed * changed
    return square


@compiled
def _update(
    first: int,
    last: int,
    weight: Array,
    gradient: Array,
    first_moment: Array,
    second_moment: Array,
    along: Array,
    shadow: Array,
    factors: Array,
) -> None:
    """With `along` [n], rows keep length one. `shadow` gets what comes out, in bfloat16; both may be empty."""
    for number in range(first, last):
        row = weight[number]
        slope = along[number] if len(along) else np.float32(0)
        square = _update_row(row, gradient[number], first_moment[number], second_moment[number], slope, factors)
        if len(along):
            length = max(np.sqrt(square), np.float32(SMALLEST_LENGTH))
            for j in range(len(row)):
                row[j] /= length
        if len(shadow):
            copy = shadow[number]
            for j in range(len(row)):
                copy[j] = rounded(row[j])


def products_of_rows(gradient: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The square of every row of `gradient` [n, width], and its product with the row of `weight`: [n], [n]."""
    squares, along = torch.empty(len(weight)), torch.empty(len(weight))
    arrays = [array_of(tensor) for tensor in (gradient, weight, squares, along)]
    shared_out(_products_of_rows, len(weight), 2 * weight.shape[1], *arrays)
    return squares, along


def update_(
    matrices: tuple[Tensor, Tensor, Tensor, Tensor],
    factors: Factors,
    along: Tensor | None = None,
    shadow: Tensor | None = None,
) -> None:
    """One step of Adam on the `matrices` weight, gradient, first and second moment, [n, width], in place.

    Where `along` [n] is given (the products of gradient rows and weight rows), the part of the gradient along the row
    is left out and the row has length one afterwards. The rows of `shadow` [n, width] become the rounded ones.
    """
    alongs = np.empty(0, np.float32) if along is None else array_of(along)
    copies = np.empty((0, 0), np.uint16) if shadow is None else rows_of(shadow)
    (rows, width), arrays = matrices[0].shape, [array_of(tensor) for tensor in matrices]
    shared_out(_update, rows, 4 * width, *arrays, alongs, copies, np.array(factors, np.float32))
