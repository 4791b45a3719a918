"""How the directions of an SAE lie to each other: numbers of the weights alone, without a token."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from experiments.engine.kernels import Weights

# Cosines held at once. Comparing all with all grows with the square of the features, so beyond this many of them an
# evenly spaced sample is compared with all.
COSINES_AT_ONCE = 2**24
LARGEST_SAMPLE = 16_384


def geometry_quality(weights: Weights) -> dict[str, float | None]:
    """`encoder_decoder_cosine` is None for a transcoder that reads one width and writes another."""
    same_width = weights.encoder.shape == weights.decoder.shape
    between = functional.cosine_similarity(weights.encoder, weights.decoder) if same_width else None
    return {
        "encoder_decoder_cosine": None if between is None else float(between.cpu().double().mean()),
        "decoder_coherence": coherence(weights.decoder),
        "encoder_coherence": coherence(weights.encoder),
    }


@torch.no_grad()
def coherence(directions: Tensor) -> float:
    """The mean, over rows [N, W], of the largest cosine with another row; 0 for a single row."""
    unit = functional.normalize(directions.float(), dim=1)
    count = len(unit)
    if count < 2:
        return 0.0
    sample = torch.linspace(0, count - 1, min(count, LARGEST_SAMPLE), device=unit.device).long()
    total = 0.0
    for rows in torch.split(sample, max(1, COSINES_AT_ONCE // count)):
        cosines = unit[rows] @ unit.T
        cosines[torch.arange(len(rows), device=unit.device), rows] = -1.0
        total += float(cosines.amax(1).cpu().double().sum())
    return total / len(sample)
