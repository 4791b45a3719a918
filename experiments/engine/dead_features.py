"""Features that have stopped firing: how they are brought back.

Where k features fire, the dead ones explain what the others leave (the auxiliary loss of Gao et al. 2024). Where a
penalty presses all features down (ReLU, Gated), dead ones begin anew where the error is large (resampling, Bricken et
al. 2023).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures import Batch
from experiments.engine.kernels import SparseCode, Weights

# A new feature's encoder has this share of the mean length of the others, so that it does not fire everywhere at once.
ENCODER_SHARE = 0.2


def add_auxiliary_gradients(
    gradients: Weights, batch: Batch, code: SparseCode, residual: Tensor, weights: Weights, coefficient: Tensor
) -> Tensor:
    """Adds those of coefficient * E|e - e^|^2, e the `residual` x - x^ [T, W'] as a constant; returns e^ - e [T, W'].

    e^ = sum of the `code` of dead features without b_dec, which gets no gradient of its own (Gao et al. 2024,
    arXiv:2406.04093, appendix A.2; the caller has divided the coefficient [] by E|e - E e|^2). As sparse as the code.
    """
    factor, no_bias = 2 * coefficient / batch.tokens, torch.zeros_like(weights.decoder_bias)
    miss, pulls = code.fit(weights.decoder, no_bias, residual, factor)
    code.sum_by_feature(batch.read[:, : weights.encoder.shape[1]], pulls, onto=gradients.encoder)
    code.sum_by_feature(miss, code.activations * factor, onto=gradients.decoder)
    gradients.encoder_bias.add_(code.total_by_feature(pulls))
    return miss


def resample_(weights: Weights, dead: Tensor, miss: Tensor, random: np.random.Generator) -> None:
    """Gives the `dead` features [D] new directions, in place: what is missing at tokens drawn by squared error.

    `miss` = x^ - x [T, W] is of one batch. Decoder rows become the missing direction, encoder rows the same one with a
    share of the mean length of the others; all other numbers of a feature become zero.
    """
    squares = miss.square().sum(1).cpu().double().numpy()
    shares = squares / squares.sum() if squares.sum() > 0 else np.full(len(squares), 1 / len(squares))
    tokens = torch.from_numpy(random.choice(len(shares), size=len(dead), p=shares)).to(dead.device)
    alive = torch.ones(weights.n_features, dtype=torch.bool, device=dead.device)
    alive[dead] = False
    length = weights.encoder[alive].norm(dim=1).mean() if bool(alive.any()) else torch.ones((), device=dead.device)
    directions = -miss[tokens]
    kernels.normalise_rows_(directions)
    weights.decoder[dead] = directions
    weights.encoder[dead] = directions * (ENCODER_SHARE * length)
    for name, weight in weights.present().items():
        if name in ("encoder_bias", "magnitude_log_scale", "magnitude_bias"):
            weight[dead] = 0
