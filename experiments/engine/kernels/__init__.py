"""The arithmetic of an SAE, and nothing else: encode and select, sparse decode, the gradients, the optimiser step.

Only the encoder is a dense matrix product. A token has few activations, so everything after the selection touches those
rows instead of n_features. Every operation on a `SparseCode` exists on a `DenseCode` too, the slow and obvious one with
the whole matrix: it is the reference, and what an SAE that is not sparse yet is computed with.
Shapes: T tokens, W width of a hidden state, N features, E entries of a code.
"""

from experiments.engine.kernels.arithmetic import Float32, arithmetic_of, multiplies_bfloat16
from experiments.engine.kernels.codes import Code, DenseCode, SparseCode, concatenated, weighted_total
from experiments.engine.kernels.optimiser import Adam, normalise_rows_, tangent_norm
from experiments.engine.kernels.selection import (
    keep_above,
    keep_all_above_zero,
    keep_largest_per_token,
    keep_largest_per_token_of,
    largest_values,
    pre_activations,
)
from experiments.engine.kernels.weights import Weights

__all__ = [
    "Adam",
    "Code",
    "DenseCode",
    "Float32",
    "SparseCode",
    "Weights",
    "arithmetic_of",
    "concatenated",
    "keep_above",
    "keep_all_above_zero",
    "keep_largest_per_token",
    "keep_largest_per_token_of",
    "largest_values",
    "multiplies_bfloat16",
    "normalise_rows_",
    "pre_activations",
    "tangent_norm",
    "weighted_total",
]
