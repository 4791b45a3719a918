"""The arithmetic of an SAE, and nothing else: encode and select, sparse decode, the gradients, the optimiser step.

Only the encoder is a dense matrix product. A token has at most k activations, so everything after the selection
touches k rows instead of n_features: `embedding_bag` sums weighted rows without writing the gathered rows to memory,
forwards to decode and, over the activations sorted by feature, backwards for both weight gradients.

Every function is compared with plain autograd over dense matrices in `tests/engine/test_kernels.py`.
Shapes: T tokens, W width of a hidden state, N features, K activations kept per token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Weights(NamedTuple):
    """The weights of an SAE, or (with the same shapes) their gradients or Adam's moments."""

    encoder: Tensor  # [N, W]
    encoder_bias: Tensor  # [N]
    decoder: Tensor  # [N, W], unit rows
    decoder_bias: Tensor  # [W]


class SparseCode(NamedTuple):
    """The features that fire: row t lists those of token t, in no particular order. Activation 0 is not firing."""

    indices: Tensor  # [T, K] int64
    activations: Tensor  # [T, K] >= 0


def pre_activations(hidden_states: Tensor, weights: Weights, out: Tensor | None = None) -> Tensor:
    """(x - b_dec) W_enc^T + b_enc for every feature: [T, W] -> [T, N], written into `out` where that is given."""
    shift = weights.encoder_bias - weights.encoder @ weights.decoder_bias  # [N]
    return torch.addmm(shift, hidden_states, weights.encoder.T, out=out)


def select_top_k(pre_activations: Tensor, k: int) -> SparseCode:
    """ReLU of the k largest pre-activations of every token: [T, N] -> [T, K]."""
    values, indices = torch.topk(pre_activations, k, dim=1, sorted=False)
    return SparseCode(indices, values.relu_())


def decode(code: SparseCode, weights: Weights) -> Tensor:
    """Sum of activation times decoder row, plus b_dec: [T, K] -> [T, W]."""
    rows = functional.embedding_bag(
        code.indices, weights.decoder, per_sample_weights=code.activations.to(weights.decoder.dtype), mode="sum"
    )
    return rows.add_(weights.decoder_bias)


def gradients(hidden_states: Tensor, code: SparseCode, weights: Weights, error: Tensor) -> Weights:
    """Gradients of a loss with `error` = d loss / d reconstruction [T, W], through decode, selection and encode.

    With g the error, a an activation and d = [a > 0] (g . decoder row) its gradient:
    decoder += a g, encoder += d (x - b_dec), encoder_bias += d, decoder_bias += g - d W_enc.
    """
    k = code.indices.shape[1]
    pulls = _activation_gradients(code, weights.decoder, error)  # [T, K]
    features, order = torch.sort(code.indices.flatten(), stable=True)  # entries grouped by feature, tokens in order
    token_of_entry = order // k
    starts = torch.searchsorted(features, torch.arange(len(weights.encoder), device=features.device))  # [N]

    def sum_by_feature(rows: Tensor, entry_weights: Tensor) -> Tensor:
        return functional.embedding_bag(
            token_of_entry, rows, starts, per_sample_weights=entry_weights.flatten()[order], mode="sum"
        )

    encoder_bias = sum_by_feature(torch.ones_like(error[:, :1]), pulls).squeeze(1)  # [N]
    return Weights(
        encoder=sum_by_feature(hidden_states, pulls).addr_(encoder_bias, weights.decoder_bias, alpha=-1),
        encoder_bias=encoder_bias,
        decoder=sum_by_feature(error, code.activations),
        decoder_bias=error.sum(0).sub_(encoder_bias @ weights.encoder),
    )


def _activation_gradients(code: SparseCode, decoder: Tensor, error: Tensor) -> Tensor:
    """error . decoder row for every activation above zero, without gathering the rows: [T, K]."""
    activations = code.activations.detach().requires_grad_()
    with torch.enable_grad():
        rows = functional.embedding_bag(code.indices, decoder, per_sample_weights=activations, mode="sum")
        (pulls,) = torch.autograd.grad(rows, activations, error)
    return pulls.mul_(code.activations > 0)


def add_auxiliary_gradients(
    gradients: Weights,
    pre_activations: Tensor,
    hidden_states: Tensor,
    residual: Tensor,
    weights: Weights,
    dead: Tensor,
    k: int,
    coefficient: float,
) -> float:
    """Lets the `dead` features [D] (int64) explain the `residual` x - x^ [T, W] and adds those gradients in place.

    The loss is coefficient * E|e - e^|^2 / E|e - E e|^2, e the residual as a constant and e^ = sum of the at most k
    strongest dead features of each token without b_dec, which gets no gradient (Gao et al. 2024, appendix A.2).
    Dense over the dead features only: their number shrinks as this works. Returns the loss before the coefficient.
    """
    spread = (residual - residual.mean(0)).square().sum(1).mean()
    if not spread > 0:
        return 0.0
    activations = pre_activations[:, dead].relu_()  # [T, D]
    if len(dead) > k:
        activations = _keep_strongest(activations, k)
    decoder = weights.decoder[dead]  # [D, W]
    miss = activations @ decoder - residual  # [T, W]
    error = miss * (2 * coefficient / (len(miss) * spread))
    pulls = (error @ decoder.T).mul_(activations > 0)  # [T, D]
    gradients.decoder.index_add_(0, dead, activations.T @ error)
    gradients.encoder.index_add_(0, dead, pulls.T @ (hidden_states - weights.decoder_bias))
    gradients.encoder_bias.index_add_(0, dead, pulls.sum(0))
    return float(miss.square().sum(1).mean() / spread)


def _keep_strongest(activations: Tensor, k: int) -> Tensor:
    """Sets all but the k largest of every row to zero: [T, D] -> [T, D]."""
    values, indices = activations.topk(k, dim=1, sorted=False)
    return torch.zeros_like(activations).scatter_(1, indices, values)


def remove_parallel_part(gradient: Tensor, decoder: Tensor) -> None:
    """Takes from each row of the decoder's gradient what points along the row, which must keep its length. In place."""
    gradient.sub_(decoder * (gradient * decoder).sum(1, keepdim=True))


def clip_(gradients: Weights, largest_norm: float) -> float:
    """Scales all gradients down, in place, so that their joint norm is at most `largest_norm`; returns the old norm."""
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])))
    if norm > largest_norm:
        for gradient in gradients:
            gradient.mul_(largest_norm / norm)
    return norm


def normalise_rows_(decoder: Tensor) -> None:
    """Gives every row length one, in place."""
    decoder.div_(torch.linalg.vector_norm(decoder, dim=1, keepdim=True).clamp_min_(1e-12))


class Adam:
    """Adam over the four weights, with the moments in reach so that a checkpoint can hold them.

    torch's fused kernel reads and writes every number once per step.
    """

    def __init__(self, weights: Weights, beta1: float, beta2: float, epsilon: float) -> None:
        self.weights = weights
        self._adam = torch.optim.Adam(list(weights), betas=(beta1, beta2), eps=epsilon, fused=True)
        self.restore(0, map(torch.zeros_like, weights), map(torch.zeros_like, weights))

    def restore(self, step: int, first_moments: Iterable[Tensor], second_moments: Iterable[Tensor]) -> None:
        """Continues after `step` steps with the moments of a checkpoint, in the order of `Weights`."""
        for weight, first, second in zip(self.weights, first_moments, second_moments, strict=True):
            count = torch.tensor(float(step), device=weight.device)
            self._adam.state[weight] = {"step": count, "exp_avg": first, "exp_avg_sq": second}

    @property
    def first_moments(self) -> Weights:
        return Weights(*(self._adam.state[weight]["exp_avg"] for weight in self.weights))

    @property
    def second_moments(self) -> Weights:
        return Weights(*(self._adam.state[weight]["exp_avg_sq"] for weight in self.weights))

    def update(self, gradients: Weights, learning_rate: float) -> None:
        """One step of all weights, in place."""
        self._adam.param_groups[0]["lr"] = learning_rate
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self._adam.step()
