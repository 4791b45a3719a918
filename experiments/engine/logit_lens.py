"""The unembedding as one matrix: which tokens a direction of the last residual stream promotes and suppresses.

The logit lens (nostalgebraist 2020) reads a direction d by the logits that it adds, U (g * (d - mean d)) for a final
LayerNorm with gain g, or U (g * d) for an RMSNorm. Which of the two a model has, and its gain, is measured on the norm
itself, because families store gains differently (Gemma's is 1 + weight).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine.block_list import given_hidden_state, returned_hidden_state

# How far the measured norm may be from its formula, as a share of the largest output.
NORM_TOLERANCE = 1e-2
# The probe is this large so that the norm's epsilon does not count.
PROBE_SIZE = 100.0


@dataclass(frozen=True)
class _Norm:
    """norm(x) = gain * (x - mean x if centring) / root mean square of that + bias."""

    gain: Tensor  # [width]
    bias: Tensor  # [width]
    centring: bool

    def __call__(self, states: Tensor) -> Tensor:
        return self.gain * _scaled(states, self.centring) + self.bias


def find_unembedding(model: nn.Module, last_block: nn.Module, forward: Callable[[], Any]) -> Tensor | None:
    """The unembedding [vocabulary, width] of `model` with its final norm folded in, in float32.

    None when the model's head is anything else than an optional norm followed by one matrix.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    weight = getattr(head, "weight", None)
    if head is None or weight is None:
        return None
    leaving, entering, steps = _last_steps(model, last_block, head, forward)
    if leaving is None or entering is None or entering.shape != leaving.shape:
        return None
    matrix: Tensor = weight.detach().float()
    if torch.equal(leaving, entering):
        return matrix
    for module, given, returned in steps:
        if torch.equal(given, leaving) and torch.equal(returned, entering):
            norm = _measure_norm(module, leaving)
            return None if norm is None else _folded(matrix, norm)
    return None


def _folded(matrix: Tensor, norm: _Norm) -> Tensor:
    scaled = matrix * norm.gain
    return scaled - scaled.mean(dim=1, keepdim=True) if norm.centring else scaled


def _measure_norm(module: nn.Module, example: Tensor) -> _Norm | None:
    """The norm that `module` computes, or None when it is not one. `example` [batch, seq, width] gives the dtype."""
    random = torch.Generator().manual_seed(0)
    probes = PROBE_SIZE * torch.randn(2, 1, example.shape[-1], generator=random).to(example)
    first, second = (module(probe[None]).float().flatten() for probe in probes)
    shifted = module(probes[:1] + PROBE_SIZE).float().flatten()
    bias = module(torch.zeros_like(probes[:1])).float().flatten()
    centring = _is_close(shifted, first)
    norm = _Norm((first - bias) / _scaled(probes[0].float().flatten(), centring), bias, centring)
    return norm if _is_close(norm(probes[1].float().flatten()), second) else None


def _scaled(states: Tensor, centring: bool) -> Tensor:
    centred = states - states.mean() if centring else states
    return centred / centred.square().mean().sqrt()


def _is_close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= NORM_TOLERANCE * other.abs().max())


def _last_steps(
    model: nn.Module, last_block: nn.Module, head: nn.Module, forward: Callable[[], Any]
) -> tuple[Tensor | None, Tensor | None, list[tuple[nn.Module, Tensor, Tensor]]]:
    """What leaves the last block, what enters the head, and every module's input and output between the two."""
    leaving: list[Tensor | None] = [None]
    entering: list[Tensor | None] = [None]
    steps: list[tuple[nn.Module, Tensor, Tensor]] = []

    def record(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        given, returned = given_hidden_state(arguments, keywords), returned_hidden_state(output)
        if module is last_block:
            leaving[0] = returned
        elif module is head:
            entering[0] = given
        elif leaving[0] is not None and given is not None and returned is not None and entering[0] is None:
            steps.append((module, given, returned))

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_hook(record, with_kwargs=True).remove)
        forward()
    return leaving[0], entering[0], steps
