"""The arithmetic of an SAE, and nothing else: encode and select, sparse decode, the gradients, the optimiser step.

Only the encoder is a dense matrix product. A token has few activations, so everything after the selection touches those
rows instead of n_features. Every operation on a `SparseCode` exists on a `DenseCode` too, the slow and obvious one with
the whole matrix: it is the reference, and what an SAE that is not sparse yet is computed with.
Shapes: T tokens, W width of a hidden state, N features, E entries of a code.
"""

from experiments.engine.kernels.codes import Code, DenseCode, SparseCode, concatenated
from experiments.engine.kernels.optimiser import Adam, clip_, joint_norm, normalise_rows_, remove_parallel_part
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
    "SparseCode",
    "Weights",
    "clip_",
    "concatenated",
    "joint_norm",
    "keep_above",
    "keep_all_above_zero",
    "keep_largest_per_token",
    "keep_largest_per_token_of",
    "largest_values",
    "normalise_rows_",
    "pre_activations",
    "remove_parallel_part",
]
