"""The optimiser step: what is done to the gradients, and what they do to the weights.

The reference is torch, one operation after another. On the processor a compiled kernel does all of it to a row while
the row is in the cache, so that every number is read and written once per step.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

from experiments.engine.kernels.compiled import adam as compiled
from experiments.engine.kernels.compiled.ranges import computes
from experiments.engine.kernels.weights import Weights

# Rounded copies of encoder and decoder, where a step is computed with such.
Copies: TypeAlias = tuple[Tensor | None, Tensor | None]


def tangent_norm(gradients: Weights, decoder: Tensor) -> tuple[Tensor, Tensor]:
    """The joint norm of the gradients without what points along the decoder's rows, which keep length one: []; and how
    long that part is for every row: [N]. Where they are: numbers that the host has not waited for."""
    squares, along = _products_of_rows(gradients.decoder, decoder)
    sums = [squares.double().sum() - along.double().square().sum()]
    for name, gradient in gradients.present().items():
        if name != "decoder":
            rows = gradient.reshape(-1, gradient.shape[-1])
            sums.append(_products_of_rows(rows, rows)[0].double().sum())
    return torch.stack(sums).sum().clamp_min_(0.0).sqrt().to(decoder.dtype), along


def _products_of_rows(gradient: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The square of every row of `gradient` [n, width], and its product with the row of `weight`: [n], [n]."""
    if computes(gradient, weight):
        return compiled.products_of_rows(gradient, weight)
    return torch.linalg.vector_norm(gradient, dim=1).square(), (gradient * weight).sum(1)


def normalise_rows_(decoder: Tensor) -> None:
    """Gives every row length one, in place."""
    decoder.div_(torch.linalg.vector_norm(decoder, dim=1, keepdim=True).clamp_min_(1e-12))


class Adam:
    """Adam over the weights that there are, with the moments in reach so that a checkpoint can hold them.

    torch's fused kernel reads and writes every number once per step.
    """

    def __init__(self, weights: Weights, beta1: float, beta2: float, epsilon: float) -> None:
        self.weights = weights
        self._named = weights.present()
        self._adam = torch.optim.Adam(list(self._named.values()), betas=(beta1, beta2), eps=epsilon, fused=True)
        self.restore(0, weights.map(torch.zeros_like), weights.map(torch.zeros_like))

    def restore(self, step: int, first_moments: Weights, second_moments: Weights) -> None:
        """Continues after `step` steps with the moments of a checkpoint."""
        first, second = first_moments.present(), second_moments.present()
        for name, weight in self._named.items():
            count = torch.tensor(float(step), device=weight.device)
            self._adam.state[weight] = {"step": count, "exp_avg": first[name], "exp_avg_sq": second[name]}

    @property
    def first_moments(self) -> Weights:
        return self._moments("exp_avg")

    @property
    def second_moments(self) -> Weights:
        return self._moments("exp_avg_sq")

    def update(
        self,
        gradients: Weights,
        learning_rate: float,
        *,
        along: Tensor,
        scale: float = 1.0,
        copies: Copies = (None, None),
    ) -> None:
        """One step of all weights with `scale` times the gradients, in place; what they hold afterwards is undefined.

        The decoder's rows do not follow what their gradient has `along` them [N], and have length one afterwards.
        `copies` become the rounded encoder and decoder.
        """
        if computes(*self._named.values()):
            self._update_compiled(gradients, learning_rate, scale, along, copies)
            return
        gradients.decoder.sub_(self.weights.decoder * along[:, None])
        self._adam.param_groups[0]["lr"] = learning_rate
        present = gradients.present()
        for name, weight in self._named.items():
            weight.grad = present[name].mul_(scale) if scale != 1 else present[name]
        self._adam.step()
        normalise_rows_(self.weights.decoder)

    def _update_compiled(
        self, gradients: Weights, learning_rate: float, scale: float, along: Tensor, copies: Copies
    ) -> None:
        group, present = self._adam.param_groups[0], gradients.present()
        (beta1, beta2), epsilon = group["betas"], group["eps"]
        shadows = dict(zip(("encoder", "decoder"), copies, strict=True))
        for name, weight in self._named.items():
            state = self._adam.state[weight]
            state["step"] += 1
            step = float(state["step"])
            correction, rate = 1 / math.sqrt(1 - beta2**step), learning_rate / (1 - beta1**step)
            factors = compiled.Factors(scale, beta1, beta2, rate, correction, epsilon)
            rows = [tensor.view(-1, tensor.shape[-1]) for tensor in (weight, state["exp_avg"], state["exp_avg_sq"])]
            gradient = present[name].reshape(rows[0].shape)
            kept = along if name == "decoder" else None
            compiled.update_((rows[0], gradient, rows[1], rows[2]), factors, kept, shadows.get(name))

    def forget(self, features: Tensor) -> None:
        """Features that begin anew have no past: sets their moments to zero."""
        for moments in (self.first_moments, self.second_moments):
            for name, moment in moments.present().items():
                if name not in ("decoder_bias", "skip"):
                    moment[features] = 0

    def _moments(self, key: str) -> Weights:
        return Weights(**{name: self._adam.state[weight][key] for name, weight in self._named.items()})
