"""How what a feature adds to the logits is distributed over the vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BINS = 40
# Logits that are counted at once: bounds the memory of their bins, 8 bytes each.
NUMBERS_AT_ONCE = 2**21


def logit_histograms(logits: Tensor) -> list[dict[str, list[Any]]]:
    """Counts of each row of `logits` [N, vocabulary] between BINS + 1 edges, even from its least to its greatest.

    A row whose logits are all alike is counted in its first bin.
    """
    rows_at_once = max(1, NUMBERS_AT_ONCE // logits.shape[1])
    return [found for part in torch.split(logits, rows_at_once) for found in _counted(part.float())]


def _counted(logits: Tensor) -> list[dict[str, list[Any]]]:
    low, high = logits.amin(1, keepdim=True), logits.amax(1, keepdim=True)
    width = (high - low) / BINS
    bins = ((logits - low) / width.clamp(min=torch.finfo(logits.dtype).tiny)).long().clamp_(0, BINS - 1)
    counts = torch.zeros(len(logits), BINS, dtype=torch.long, device=logits.device)
    counts.scatter_add_(1, bins, torch.ones_like(bins))
    edges = low + width * torch.arange(BINS + 1, device=logits.device)
    return [{"edges": row, "counts": count} for row, count in zip(edges.tolist(), counts.tolist(), strict=True)]
