"""The largest numbers of a row, and those above a threshold, without sorting.

Positive floats are in the order of their bits, read as integers; numbers below zero are negative integers. Loops run
over stretches from their own beginning, which is what the compiler turns into vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.engine.kernels.compiled.bfloat16 import widened
from experiments.engine.kernels.compiled.ranges import Array, array_of, compiled, shared_out

# Numbers per group: a group's largest is found by comparing whole stretches of the row with each other.
GROUP = 16
# Numbers looked at together for one that is above its threshold.
BLOCK = 64


@compiled
def _lower_bound(bits: Array, length: int, count: int) -> Any:
    """The largest integer from 1 on that at least `count` of bits[:length] reach; 1 where fewer are positive."""
    low, high = 1, 1
    for number in range(length):
        high = max(high, bits[number])
    while low < high:
        middle = low + (high - low + 1) // 2
        reaching = np.int32(0)
        for number in range(length):
            reaching = np.int32(reaching + np.int32(bits[number] >= middle))
        if reaching >= count:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _group_maxima(row: Array, groups: int, maxima: Array) -> None:
    """maxima[g] = the largest of row[g], row[g + groups], ...: whole stretches are compared, and no number alone."""
    for group in range(groups):
        maxima[group] = row[group]
    for start in range(groups, len(row), groups):
        stretch = row[start : start + groups]
        for group in range(len(stretch)):
            maxima[group] = max(maxima[group], stretch[group])


@compiled
def _candidates(row: Array, groups: int, maxima: Array, bound: Any, places: Array, found: Array) -> int:
    """Where row reaches `bound`, and what is there, looking only into groups whose largest does; returns how many."""
    reaching = 0
    for group in range(groups):
        places[reaching] = group
        reaching += maxima[group] >= bound
    count = 0
    chosen = places[:reaching].copy()
    for group in chosen:
        for place in range(group, len(row), groups):
            places[count], found[count] = place, row[place]
            count += row[place] >= bound
    return count


@compiled
def _largest_per_row(
    first: int, last: int, bits: Array, columns: Array, k: int, features: Array, largest: Array, counts: Array
) -> None:
    """The k largest positive numbers of every row, of equal ones the first, among `columns` where there are any."""
    width = len(columns) if len(columns) else bits.shape[1]
    groups = (width + GROUP - 1) // GROUP
    gathered, maxima = np.empty(width, bits.dtype), np.empty(groups, bits.dtype)
    places, found = np.empty(width + 1, np.int32), np.empty(width + 1, bits.dtype)
    for number in range(first, last):
        row = bits[number]
        if len(columns):
            for place in range(width):
                gathered[place] = row[columns[place]]
            row = gathered
        _group_maxima(row, groups, maxima)
        # k groups reach the bound, so the k largest numbers do.
        candidates = _candidates(row, groups, maxima, _lower_bound(maxima, groups, k), places, found)
        cut = _lower_bound(found, candidates, k)
        above = 0
        for candidate in range(candidates):
            above += found[candidate] > cut
        equal, kept = k - above, 0
        for candidate in range(candidates):
            is_equal = found[candidate] == cut
            if found[candidate] > cut or (is_equal and equal > 0):
                features[number, kept], largest[number, kept] = places[candidate], found[candidate]
                kept += 1
                equal -= is_equal
        counts[number] = kept


@compiled
def _count_above(first: int, last: int, numbers: Array, thresholds: Array, counts: Array) -> None:
    for token in range(first, last):
        row, count = numbers[token], np.int32(0)
        for place in range(len(row)):
            count = np.int32(count + np.int32(widened(row[place]) > thresholds[place]))
        counts[token] = count


@compiled
def _take_above(
    first: int, last: int, numbers: Array, thresholds: Array, starts: Array, features: Array, taken: Array
) -> None:
    for token in range(first, last):
        row, entry = numbers[token], starts[token]
        for start in range(0, len(row), BLOCK):
            block, limits = row[start : start + BLOCK], thresholds[start : start + BLOCK]
            above = np.int32(0)
            for place in range(len(block)):
                above |= np.int32(widened(block[place]) > limits[place])
            if above:
                for place in range(len(block)):
                    if widened(block[place]) > limits[place]:
                        features[entry], taken[entry] = start + place, widened(block[place])
                        entry += 1


def largest_per_row(numbers: Tensor, k: int, columns: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Features [E], values [E] and starts [T + 1] of the k largest positive numbers [T, N] of every row.

    Looks only at `columns` [D] where they are given. Of equal numbers those of the first features of a stretch of the
    row come first, always the same.
    """
    tokens = len(numbers)
    bits = array_of(numbers).view(np.int16 if numbers.dtype == torch.bfloat16 else np.int32)
    chosen = np.empty(0, np.int64) if columns is None else array_of(columns)
    k = min(k, numbers.shape[1] if columns is None else len(columns))
    features, counts = torch.empty(tokens, k, dtype=torch.int64), torch.empty(tokens, dtype=torch.int64)
    values = torch.empty(tokens, k, dtype=numbers.dtype)
    largest = array_of(values).view(bits.dtype)
    arguments = (bits, chosen, k, array_of(features), largest, array_of(counts))
    shared_out(_largest_per_row, tokens, len(chosen) or numbers.shape[1], *arguments)
    if columns is not None:
        features = columns[features.clamp_(0, len(columns) - 1)]
    starts = _starts(counts)
    if int(starts[-1]) == tokens * k:
        return features.flatten(), values.flatten().float(), starts
    kept = torch.arange(k) < counts[:, None]
    return features[kept], values[kept].float(), starts


def all_above(numbers: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features [E], values [E] and starts [T + 1] of the numbers [T, N] above `thresholds` [N]."""
    tokens, width = numbers.shape
    counts = torch.empty(tokens, dtype=torch.int64)
    compared = (array_of(numbers), array_of(thresholds))
    shared_out(_count_above, tokens, width, *compared, array_of(counts))
    starts = _starts(counts)
    features, taken = torch.empty(int(starts[-1]), dtype=torch.int64), torch.empty(int(starts[-1]))
    shared_out(_take_above, tokens, width, *compared, *(array_of(tensor) for tensor in (starts, features, taken)))
    return features, taken, starts


def _starts(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))
