"""What the same SAE looks like in other weights.

Scales go into and out of them: training sees hidden states of mean squared norm one, others those of the model. And so
do the conventions of other tools: norms of decoder rows, and a decoder bias that is not taken from what is read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine.input_statistics import Scales
from experiments.engine.kernels import Weights

# Weights in the units of what is reconstructed.
OF_OUTPUT = ("encoder_bias", "decoder_bias", "threshold", "magnitude_bias")
# Weights in the units of each feature's activation.
OF_ACTIVATION = ("encoder_bias", "threshold", "magnitude_bias")
# A row whose norm is as near to one as float32 gets is left as it is, bit for bit.
NORM_TOLERANCE = 1e-6
ROWS_AT_ONCE = 4_096


def folded(weights: Weights, scales: Scales) -> Weights:
    """The weights for hidden states as the model has them, from those for scaled ones.

    With x' = s x and y' = r y, all architectures commute with a positive factor of their pre-activations, so
    f = f' / r solves the unscaled problem with W_enc s / r, and biases and thresholds / r.
    """
    return _rescaled(weights, scales.input / scales.output, scales.output)


def unfolded(weights: Weights, scales: Scales) -> Weights:
    """The inverse of `folded`: the weights for scaled hidden states, from those for hidden states as they are."""
    return _rescaled(weights, scales.output / scales.input, 1 / scales.output)


def _rescaled(weights: Weights, ratio: float, divisor: float) -> Weights:
    by_output = {name: weight / divisor for name, weight in weights.present().items() if name in OF_OUTPUT}
    skip = None if weights.skip is None else weights.skip * ratio
    return weights._replace(encoder=weights.encoder * ratio, skip=skip, **by_output)


def with_unit_rows(weights: Weights) -> Weights:
    """The SAE whose activations are those of `weights` times the norms of their decoder rows, which become one.

    It reconstructs the same. Which features fire is the same too, except where the k largest activations are chosen:
    then it is chosen among the larger or smaller ones.
    """
    norms = weights.decoder.double().norm(dim=1)
    is_unit = ((norms - 1).abs() < NORM_TOLERANCE) | (norms == 0)
    norms = torch.where(is_unit, torch.ones_like(norms), norms).to(weights.decoder.dtype)
    of_activation = {name: weight * norms for name, weight in weights.present().items() if name in OF_ACTIVATION}
    encoder, decoder = weights.encoder * norms[:, None], weights.decoder / norms[:, None]
    return weights._replace(encoder=encoder, decoder=decoder, **of_activation)


def with_subtracted_bias(weights: Weights) -> Weights:
    """The SAE that takes b_dec from what it reads, from `weights` of one that does not: its biases say so instead."""
    taken = torch.cat([_product(rows, weights.decoder_bias) for rows in torch.split(weights.encoder, ROWS_AT_ONCE)])
    changes = {"encoder_bias": weights.encoder_bias + taken.to(weights.encoder_bias.dtype)}
    if weights.magnitude_bias is not None and weights.magnitude_log_scale is not None:
        scaled = weights.magnitude_log_scale.double().exp() * taken
        changes["magnitude_bias"] = weights.magnitude_bias + scaled.to(weights.magnitude_bias.dtype)
    return weights._replace(**changes)


def _product(rows: Tensor, vector: Tensor) -> Tensor:
    return rows.double() @ vector.double()
