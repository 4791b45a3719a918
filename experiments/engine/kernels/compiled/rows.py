"""Sums of few weighted rows, which is what decoding and both weight gradients are; and products with such rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.engine.kernels.compiled.bfloat16 import widened
from experiments.engine.kernels.compiled.ranges import Array, array_of, compiled, rows_of, shared_out

# Rows per partial sum of `weighted_total`: fixed, so that the sum does not depend on the threads.
TOTAL_ROWS = 1_024


@compiled
def _add_rows(into: Array, rows: Array, indices: Array, values: Array, start: int, stop: int) -> None:
    """Four rows at a time: the sum is then read and written a quarter as often."""
    entry = start
    while entry + 4 <= stop:
        a, b, c, d = (
            rows[indices[entry]],
            rows[indices[entry + 1]],
            rows[indices[entry + 2]],
            rows[indices[entry + 3]],
        )
        va, vb, vc, vd = values[entry], values[entry + 1], values[entry + 2], values[entry + 3]
        for j in range(len(into)):
            into[j] += va * widened(a[j]) + vb * widened(b[j]) + vc * widened(c[j]) + vd * widened(d[j])
        entry += 4
    while entry < stop:
        row, value = rows[indices[entry]], values[entry]
        for j in range(len(into)):
            into[j] += value * widened(row[j])
        entry += 1


@compiled
def _multiply_rows(
    products: Array, factor: Any, vector: Array, rows: Array, indices: Array, start: int, stop: int
) -> None:
    """products[e] = factor * vector . rows[indices[e]]; two at a time, so that the vector is read half as often."""
    entry = start
    while entry + 2 <= stop:
        a, b = rows[indices[entry]], rows[indices[entry + 1]]
        sa, sb = np.float32(0), np.float32(0)
        for j in range(len(vector)):
            sa += vector[j] * widened(a[j])
            sb += vector[j] * widened(b[j])
        products[entry], products[entry + 1] = factor * sa, factor * sb
        entry += 2
    if entry < stop:
        row, total = rows[indices[entry]], np.float32(0)
        for j in range(len(vector)):
            total += vector[j] * widened(row[j])
        products[entry] = factor * total


@compiled
def _weighted_sums(
    first: int, last: int, sums: Array, rows: Array, indices: Array, values: Array, starts: Array
) -> None:
    for number in range(first, last):
        _add_rows(sums[number], rows, indices, values, starts[number], starts[number + 1])


@compiled
def _products(
    first: int, last: int, products: Array, vectors: Array, rows: Array, indices: Array, starts: Array
) -> None:
    for number in range(first, last):
        vector = vectors[number]
        _multiply_rows(products, np.float32(1), vector, rows, indices, starts[number], starts[number + 1])


@compiled
def _fits(
    first: int,
    last: int,
    misses: Array,
    pulls: Array,
    factor: Any,
    offset: Array,
    targets: Array,
    rows: Array,
    indices: Array,
    values: Array,
    starts: Array,
) -> None:
    """A token's rows are used twice, the second time while they are still in the cache."""
    for token in range(first, last):
        miss, target = misses[token], targets[token]
        for j in range(len(miss)):
            miss[j] = offset[j] - target[j]
        _add_rows(miss, rows, indices, values, starts[token], starts[token + 1])
        _multiply_rows(pulls, factor, miss, rows, indices, starts[token], starts[token + 1])


@compiled
def _group(features: Array, order: Array, starts: Array) -> None:
    for feature in features:
        starts[feature + 1] += 1
    for number in range(len(starts) - 1):
        starts[number + 1] += starts[number]
    places = starts.copy()
    for entry in range(len(features)):
        place = places[features[entry]]
        order[place] = entry
        places[features[entry]] = place + 1


def weighted_sums(rows: Tensor, indices: Tensor, values: Tensor, starts: Tensor, onto: Tensor | None) -> Tensor:
    """The sums of value times row [., width] over the entries of each stretch of `starts` [n + 1]: [n, width].

    They are added to `onto`, in place, where that is given.
    """
    count, width = len(starts) - 1, rows.shape[1]
    sums = torch.zeros(count, width) if onto is None else onto
    work = width * len(indices) // max(1, count)
    entries = [array_of(tensor) for tensor in (indices, values, starts)]
    shared_out(_weighted_sums, count, work, array_of(sums), rows_of(rows), *entries)
    return sums


def products(vectors: Tensor, rows: Tensor, indices: Tensor, starts: Tensor) -> Tensor:
    """The product of every entry's row with the vector [n, width] of its stretch: [E]."""
    found = torch.empty(len(indices))
    work = rows.shape[1] * len(indices) // max(1, len(vectors))
    entries = [array_of(tensor) for tensor in (indices, starts)]
    shared_out(_products, len(vectors), work, array_of(found), array_of(vectors), rows_of(rows), *entries)
    return found


def fits(
    rows: Tensor,
    indices: Tensor,
    values: Tensor,
    starts: Tensor,
    offset: Tensor,
    targets: Tensor,
    factor: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """sums + offset - targets [n, width], and the products of these, times factor, with every entry's row: [E]."""
    misses, pulls = torch.empty(targets.shape), torch.empty(len(indices))
    work = 2 * rows.shape[1] * len(indices) // max(1, len(targets))
    entries = [array_of(tensor) for tensor in (indices, values, starts)]
    given = (np.float32(float(factor)), array_of(offset), rows_of(targets), rows_of(rows))
    shared_out(_fits, len(targets), work, array_of(misses), array_of(pulls), *given, *entries)
    return misses, pulls


def weighted_total(rows: Tensor, values: Tensor) -> Tensor:
    """The sum of value [n] times row [n, width]: [width]."""
    starts = torch.arange(0, len(values) + TOTAL_ROWS, TOTAL_ROWS).clamp_(max=len(values))
    return weighted_sums(rows, torch.arange(len(values)), values, starts, None).sum(0)


def grouped(features: Tensor, n_features: int) -> tuple[Tensor, Tensor]:
    """The order that groups entries by feature and keeps it otherwise: [E]; where each feature starts: [N + 1]."""
    order, starts = torch.empty_like(features), torch.zeros(n_features + 1, dtype=torch.int64)
    _group(array_of(features), array_of(order), array_of(starts))
    return order, starts
