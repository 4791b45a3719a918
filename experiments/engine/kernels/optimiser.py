"""The optimiser step: what is done to the gradients, and what they do to the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.engine.kernels.weights import Weights


def remove_parallel_part(gradient: Tensor, decoder: Tensor) -> None:
    """Takes from each row of the decoder's gradient what points along the row, which must keep its length. In place."""
    gradient.sub_(decoder * (gradient * decoder).sum(1, keepdim=True))


def joint_norm(gradients: Weights) -> Tensor:
    """The norm of all gradients together, where they are: a number that the host has not waited for."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.present().values()]
    joint: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return joint


def clip_(gradients: Weights, norm: float, largest_norm: float) -> None:
    """Scales all gradients, whose joint norm is `norm`, down in place so that it is at most `largest_norm`."""
    if norm > largest_norm:
        for gradient in gradients.present().values():
            gradient.mul_(largest_norm / norm)


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

    def update(self, gradients: Weights, learning_rate: float) -> None:
        """One step of all weights, in place."""
        self._adam.param_groups[0]["lr"] = learning_rate
        present = gradients.present()
        for name, weight in self._named.items():
            weight.grad = present[name]
        self._adam.step()

    def forget(self, features: Tensor) -> None:
        """Features that begin anew have no past: sets their moments to zero."""
        for moments in (self.first_moments, self.second_moments):
            for name, moment in moments.present().items():
                if name not in ("decoder_bias", "skip"):
                    moment[features] = 0

    def _moments(self, key: str) -> Weights:
        return Weights(**{name: self._adam.state[weight][key] for name, weight in self._named.items()})
