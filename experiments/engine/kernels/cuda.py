"""What is computed differently on a GPU: the encoder's product, on the units that multiply bfloat16.

Run on a GPU by nobody yet: the tests hold the numbers on a processor and the shapes on imitated CUDA tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Three bfloat16 numbers hold the 24 bits of a float32.
BIAS_PARTS = 3
# The units read rows in groups of so many numbers.
COLUMNS = 8


def pre_activations(inputs: Tensor, encoder: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
    """inputs [T, W] times encoder^T [N, W], both rounded to bfloat16, plus bias [N], which is not: [T, N].

    Sums and result are float32, so what is selected is kept as it is. The bias rides in spare columns of the encoder
    that meet a one in the inputs: the result is written once, and nothing else of its size is made.
    """
    return _product(_with_ones(inputs), _with_parts_of(bias, encoder), out)


def _with_ones(inputs: Tensor) -> Tensor:
    tokens, width = inputs.shape
    wide = inputs.new_zeros(tokens, _columns(width), dtype=torch.bfloat16)
    wide[:, :width] = inputs
    wide[:, width : width + BIAS_PARTS] = 1
    return wide


def _with_parts_of(bias: Tensor, encoder: Tensor) -> Tensor:
    features, width = encoder.shape
    wide = encoder.new_zeros(features, _columns(width), dtype=torch.bfloat16)
    wide[:, :width] = encoder
    for part in range(BIAS_PARTS):
        rounded = bias.bfloat16()
        wide[:, width + part] = rounded
        bias = bias - rounded.float()
    return wide


def _columns(width: int) -> int:
    return -(-(width + BIAS_PARTS) // COLUMNS) * COLUMNS


def _product(left: Tensor, right: Tensor, out: Tensor | None) -> Tensor:
    """left [T, C] times right^T [N, C] with float32 sums; on a processor, which has no such product, in float32."""
    if left.device.type == "cuda":
        return torch.mm(left, right.T, out_dtype=torch.float32, out=out)
    return torch.mm(left.float(), right.float().T, out=out)
