"""Scales into and out of weights: training sees hidden states of mean squared norm one, others those of the model."""

from __future__ import annotations

from experiments.engine.input_statistics import Scales
from experiments.engine.kernels import Weights

# Weights in the units of what is reconstructed.
OF_OUTPUT = ("encoder_bias", "decoder_bias", "threshold", "magnitude_bias")


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
