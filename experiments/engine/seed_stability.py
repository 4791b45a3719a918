"""How many features two SAEs share that differ in nothing but their seed (Paulo & Belrose 2025, arXiv:2501.16615)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MATCHING_COSINE = 0.7
COSINES_AT_ONCE = 2**24


@torch.no_grad()
def matches(first: Tensor, second: Tensor, least: float = MATCHING_COSINE) -> list[tuple[int, int, float]]:
    """Rows of `first` [N, W] and `second` [M, W] matched one to one, the closest first, by cosine above `least`."""
    one, other = functional.normalize(first.float(), dim=1), functional.normalize(second.float(), dim=1)
    pairs: list[tuple[float, int, int]] = []
    rows = max(1, COSINES_AT_ONCE // len(other))
    for start in range(0, len(one), rows):
        cosines = one[start : start + rows] @ other.T
        left, right = (cosines > least).nonzero(as_tuple=True)
        pairs += zip(cosines[left, right].tolist(), (left + start).tolist(), right.tolist(), strict=True)
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    found = []
    for cosine, a, b in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if a not in taken_left and b not in taken_right:
            taken_left.add(a)
            taken_right.add(b)
            found.append((a, b, cosine))
    return found


def matched_share(first: Tensor, second: Tensor) -> float:
    """Matched pairs, as a share of the features of the larger SAE."""
    return len(matches(first, second)) / max(len(first), len(second))
