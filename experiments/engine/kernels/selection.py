"""Encode and select: from hidden states to the features that take part."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine.kernels.codes import Code, DenseCode, SparseCode
from experiments.engine.kernels.compiled import search
from experiments.engine.kernels.compiled.ranges import computes

# Above this share of entries whole matrices are faster than gathers, on processors and GPUs alike; matrices of
# bfloat16 are several times as fast.
DENSE_SHARE, DENSE_SHARE_OF_BFLOAT16 = 1 / 16, 1 / 80
# One of so many pre-activations is looked at to guess where the largest ones begin.
SAMPLE_STRIDE = 61


def pre_activations(inputs: Tensor, encoder: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
    """inputs [T, W] times encoder^T [N, W], plus bias [N]: [T, N], written into `out` where that is given."""
    return torch.addmm(bias, inputs, encoder.T, out=out)


def keep_largest_per_token(pre: Tensor, k: int) -> SparseCode:
    """ReLU of the k largest pre-activations [T, N] of every token; those that are not positive do not fire.

    On a GPU they stay as entries of activation 0, so that the host need not wait to learn how many fire.
    """
    if computes(pre):
        return SparseCode(*search.largest_per_row(pre, k), pre.shape[1])
    values, features = torch.topk(pre, k, dim=1, sorted=False)
    starts = torch.arange(len(pre) + 1, device=pre.device) * k
    return SparseCode(features.flatten(), values.relu_().flatten(), starts, pre.shape[1])


def keep_largest_per_token_of(pre: Tensor, chosen: Tensor, k: int) -> SparseCode:
    """The same among the `chosen` features [D] only, and only those that fire."""
    if computes(pre):
        return SparseCode(*search.largest_per_row(pre, k, chosen), pre.shape[1])
    code = keep_largest_per_token(pre[:, chosen], min(k, len(chosen))).firing()
    return SparseCode(chosen[code.features], code.activations, code.starts, pre.shape[1])


def keep_above(pre: Tensor, threshold: Tensor | float) -> SparseCode:
    """The pre-activations [T, N] above `threshold` ([N] or one number)."""
    if computes(pre):
        thresholds = torch.as_tensor(threshold, dtype=torch.float32).expand(pre.shape[1])
        return SparseCode(*search.all_above(pre, thresholds), pre.shape[1])
    tokens, features = (pre > threshold).nonzero(as_tuple=True)
    starts = torch.searchsorted(tokens, torch.arange(len(pre) + 1, device=pre.device))
    return SparseCode(features, pre[tokens, features], starts, pre.shape[1])


def keep_all_above_zero(pre: Tensor) -> Code:
    """ReLU: the pre-activations [T, N] above zero, as a dense code while there are many of them."""
    part = pre > 0
    share = DENSE_SHARE_OF_BFLOAT16 if pre.dtype == torch.bfloat16 else DENSE_SHARE
    if int(part.count_nonzero()) > share * pre.numel():
        return DenseCode(pre.relu(), part)
    return keep_above(pre, 0.0)


def largest_values(pre: Tensor, count: int) -> Tensor:
    """The `count` largest positive values of `pre` [T, N], largest first; fewer where fewer are positive.

    A guess from a sample narrows the search to about twice as many values, which are then sorted: sorting all of them
    would cost more than the encoder. When the guess was too high, everything positive is searched.
    """
    sample = pre.flatten()[::SAMPLE_STRIDE].float()
    wanted = min(len(sample), 2 * count // SAMPLE_STRIDE + 16)
    guess = sample.kthvalue(len(sample) - wanted + 1).values.clamp_min_(0.0)
    found = _values_above(pre, guess)
    if len(found) < count and bool(guess > 0):
        found = _values_above(pre, torch.zeros_like(guess))
    return found.sort(descending=True).values[:count]


def _values_above(pre: Tensor, threshold: Tensor) -> Tensor:
    return keep_above(pre, threshold).activations if computes(pre) else pre[pre > threshold]
