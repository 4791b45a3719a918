"""Every kernel against plain autograd over dense matrices, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.kernels import Adam, SparseCode, Weights

SHAPES = [(1, 3, 2, 1), (17, 5, 40, 4), (64, 16, 64, 8), (33, 8, 12, 12)]  # tokens, width, features, k


def random_weights(width: int, features: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Weights:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    weights = Weights(normal(features, width), normal(features) * 0.1, normal(features, width), normal(width))
    kernels.normalise_rows_(weights.decoder)
    return weights


def random_states(tokens: int, width: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def dense_features(states: Tensor, weights: Weights, k: int) -> Tensor:
    """TopK written with a full matrix of features, so that autograd knows all of it."""
    pre = (states - weights.decoder_bias) @ weights.encoder.T + weights.encoder_bias
    kept = torch.zeros_like(pre).scatter(1, pre.topk(k, dim=1).indices, 1.0)
    return pre.relu() * kept


def dense_reconstruction(states: Tensor, weights: Weights, k: int) -> Tensor:
    return dense_features(states, weights, k) @ weights.decoder + weights.decoder_bias


def as_dense(code: SparseCode, features: int) -> Tensor:
    empty = torch.zeros(len(code.indices), features, dtype=code.activations.dtype)
    return empty.scatter_add(1, code.indices, code.activations)


def encode(states: Tensor, weights: Weights, k: int) -> SparseCode:
    return kernels.select_top_k(kernels.pre_activations(states, weights), k)


@pytest.mark.parametrize(("tokens", "width", "features", "k"), SHAPES)
def test_encoding_and_decoding_agree_with_dense_matrices(tokens: int, width: int, features: int, k: int) -> None:
    states, weights = random_states(tokens, width), random_weights(width, features)
    code = encode(states, weights, k)
    torch.testing.assert_close(as_dense(code, features), dense_features(states, weights, k))
    torch.testing.assert_close(kernels.decode(code, weights), dense_reconstruction(states, weights, k))


@pytest.mark.parametrize(("tokens", "width", "features", "k"), SHAPES)
def test_gradients_agree_with_autograd(tokens: int, width: int, features: int, k: int) -> None:
    states, weights = random_states(tokens, width), random_weights(width, features)
    leaves = Weights(*(weight.clone().requires_grad_() for weight in weights))
    (dense_reconstruction(states, leaves, k) - states).square().sum(1).mean().backward()

    code = encode(states, weights, k)
    error = 2 * (kernels.decode(code, weights) - states) / tokens
    found = kernels.gradients(states, code, weights, error)

    for name, gradient, leaf in zip(Weights._fields, found, leaves, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-5, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}")


def test_gradients_of_states_that_are_not_contiguous() -> None:
    wide, weights = random_states(20, 12), random_weights(6, 10)
    states = wide[:, ::2]
    code = encode(states, weights, 3)
    error = kernels.decode(code, weights) - states
    found = kernels.gradients(states, code, weights, error)
    expected = kernels.gradients(states.contiguous(), code, weights, error.contiguous())
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right)


def test_a_feature_below_zero_gets_no_gradient() -> None:
    weights = random_weights(4, 6)
    weights.encoder_bias.fill_(-1e6)
    states = random_states(9, 4)
    code = encode(states, weights, 2)
    found = kernels.gradients(states, code, weights, torch.ones_like(states))
    assert code.activations.count_nonzero() == 0
    assert found.encoder.count_nonzero() == found.decoder.count_nonzero() == 0
    torch.testing.assert_close(found.decoder_bias, torch.full((4,), 9.0, dtype=torch.float64))


def auxiliary_loss(states: Tensor, residual: Tensor, weights: Weights, dead: Tensor, k: int) -> Tensor:
    """The definition, dense; b_dec is a constant in it."""
    pre = (states - weights.decoder_bias.detach()) @ weights.encoder.T + weights.encoder_bias
    alive = torch.ones(len(weights.encoder), dtype=torch.bool)
    alive[dead] = False
    masked = pre.relu().masked_fill(alive, 0.0)
    kept = torch.zeros_like(masked).scatter(1, masked.topk(min(k, len(dead)), dim=1).indices, 1.0)
    spread = (residual - residual.mean(0)).square().sum(1).mean()
    return (residual - (masked * kept) @ weights.decoder).square().sum(1).mean() / spread


@pytest.mark.parametrize("dead_count", [1, 4, 30])
def test_auxiliary_gradients_agree_with_autograd(dead_count: int) -> None:
    states, residual, weights = random_states(25, 8), random_states(25, 8, seed=7), random_weights(8, 40)
    dead = torch.randperm(40, generator=torch.Generator().manual_seed(3))[:dead_count]
    leaves = Weights(*(weight.clone().requires_grad_() for weight in weights))
    loss = auxiliary_loss(states, residual, leaves, dead, k=4)
    (loss / 32).backward()

    found = Weights(*map(torch.zeros_like, weights))
    pre = kernels.pre_activations(states, weights)
    value = kernels.add_auxiliary_gradients(found, pre, states, residual, weights, dead, k=4, coefficient=1 / 32)

    assert value == pytest.approx(loss.item())
    torch.testing.assert_close(found.encoder, leaves.encoder.grad, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found.encoder_bias, leaves.encoder_bias.grad, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found.decoder, leaves.decoder.grad, rtol=1e-5, atol=1e-9)
    assert found.decoder_bias.count_nonzero() == 0


def test_a_residual_without_spread_asks_nothing_of_dead_features() -> None:
    states, weights = random_states(5, 4), random_weights(4, 6)
    found = Weights(*map(torch.zeros_like, weights))
    dead, pre = torch.arange(6), kernels.pre_activations(states, weights)
    loss = kernels.add_auxiliary_gradients(found, pre, states, torch.zeros_like(states), weights, dead, 2, 1 / 32)
    assert loss == 0.0
    assert found.encoder.count_nonzero() == 0


def test_the_parallel_part_of_the_decoder_gradient_is_gone() -> None:
    decoder, gradient = random_weights(6, 9).decoder, random_states(9, 6)
    kernels.remove_parallel_part(gradient, decoder)
    torch.testing.assert_close((gradient * decoder).sum(1), torch.zeros(9, dtype=torch.float64))


def test_clipping_bounds_the_joint_norm_and_leaves_small_gradients_alone() -> None:
    large, small = random_weights(4, 8), Weights(*(0.001 * weight for weight in random_weights(4, 8)))
    before = [weight.clone() for weight in small]
    norm = kernels.clip_(large, 1.0)
    kernels.clip_(small, 1.0)
    assert norm > 1.0
    assert torch.cat([g.flatten() for g in large]).norm() == pytest.approx(1.0)
    assert all(torch.equal(left, right) for left, right in zip(small, before, strict=True))


def test_adam_follows_its_formula() -> None:
    weights, gradients = random_weights(3, 4), random_weights(3, 4, seed=5)
    start = [weight.clone() for weight in weights]
    adam = Adam(weights, beta1=0.9, beta2=0.99, epsilon=1e-8)
    for _ in range(2):
        adam.update(gradients, learning_rate=0.01)
    for weight, before, gradient in zip(weights, start, gradients, strict=True):
        expected = before - 2 * 0.01 * gradient / (gradient.abs() + 1e-8)  # a constant gradient: both moments are exact
        torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-9)


def test_adam_continues_from_restored_moments_bit_for_bit() -> None:
    gradients = [random_weights(3, 4, seed=seed, dtype=torch.float32) for seed in range(5)]
    through = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients:
        through.update(gradient, 0.01)

    first = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients[:2]:
        first.update(gradient, 0.01)
    second = Adam(Weights(*(weight.clone() for weight in first.weights)), 0.9, 0.999, 1e-8)
    second.restore(2, [m.clone() for m in first.first_moments], [m.clone() for m in first.second_moments])
    for gradient in gradients[2:]:
        second.update(gradient, 0.01)

    assert all(torch.equal(left, right) for left, right in zip(through.weights, second.weights, strict=True))
