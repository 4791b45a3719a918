"""Every operation on a sparse code against the same on a dense one, and those against plain matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.kernels import Adam, DenseCode, SparseCode, Weights
from tests.engine.random_sae import as_dense, random_states, random_weights

SHAPES = [(1, 3, 2, 1), (17, 5, 40, 4), (64, 16, 64, 8), (33, 8, 12, 12)]  # tokens, width, features, k


def pre_activations(states: Tensor, weights: Weights) -> Tensor:
    return kernels.pre_activations(states, weights.encoder, weights.encoder_bias)


@pytest.mark.parametrize(("tokens", "width", "features", "k"), SHAPES)
def test_the_largest_per_token_are_kept(tokens: int, width: int, features: int, k: int) -> None:
    pre = pre_activations(random_states(tokens, width), random_weights(width, features))
    kept = torch.zeros_like(pre).scatter(1, pre.topk(k, dim=1).indices, 1.0)
    code = kernels.keep_largest_per_token(pre, k)
    torch.testing.assert_close(as_dense(code), pre.relu() * kept)
    assert code.per_token().tolist() == [k] * tokens  # those that are not positive do not fire


def test_what_is_above_a_threshold_is_kept() -> None:
    pre, thresholds = random_states(20, 12), torch.linspace(-1, 2, 12, dtype=torch.float64)
    torch.testing.assert_close(as_dense(kernels.keep_above(pre, thresholds)), pre * (pre > thresholds))


@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_a_relu_is_dense_while_it_is_not_sparse(shift: float) -> None:
    pre = random_states(40, 30) + shift
    code = kernels.keep_all_above_zero(pre)
    assert isinstance(code, DenseCode if shift > 0 else SparseCode)
    torch.testing.assert_close(as_dense(code), pre.relu())


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 400), st.integers(0, 5))
def test_the_largest_values_of_a_batch(tokens: int, features: int, count: int, seed: int) -> None:
    pre = random_states(tokens, features, seed=seed).round(decimals=1)  # with ties
    expected = pre[pre > 0].sort(descending=True).values[:count]
    torch.testing.assert_close(kernels.largest_values(pre, count), expected)


def test_the_largest_values_when_a_sample_misleads() -> None:
    pre = torch.full((61, 61), 0.5, dtype=torch.float64)
    pre.view(-1)[::61] = 9.0  # exactly what the sample sees
    assert kernels.largest_values(pre, 2_000).tolist() == [9.0] * 61 + [0.5] * 1_939


def codes(tokens: int, width: int, features: int, k: int) -> tuple[SparseCode, DenseCode]:
    pre = pre_activations(random_states(tokens, width), random_weights(width, features))
    sparse = kernels.keep_largest_per_token(pre, k).firing()
    dense = as_dense(sparse)
    return sparse, DenseCode(dense, dense > 0)


@pytest.mark.parametrize(("tokens", "width", "features", "k"), SHAPES)
def test_sparse_and_dense_codes_agree(tokens: int, width: int, features: int, k: int) -> None:
    sparse, dense = codes(tokens, width, features, k)
    decoder, rows = random_weights(width, features).decoder, random_states(tokens, width, seed=3)
    by_feature = random_states(1, features, seed=4)[0]
    torch.testing.assert_close(sparse.decode(decoder), dense.decode(decoder))
    torch.testing.assert_close(as_dense(sparse, sparse.pulls(decoder, rows)), dense.pulls(decoder, rows))
    pulls, values = dense.pulls(decoder, rows), sparse.pulls(decoder, rows)
    torch.testing.assert_close(sparse.sum_by_feature(rows, values), dense.sum_by_feature(rows, pulls))
    torch.testing.assert_close(sparse.total_by_feature(values), dense.total_by_feature(pulls))
    assert torch.equal(sparse.firings(), dense.firings())
    spread = dense.taking_part(dense.spread(by_feature).expand(tokens, features))
    torch.testing.assert_close(as_dense(sparse, sparse.spread(by_feature)), spread)
    torch.testing.assert_close(as_dense(dense.firing()), dense.activations)


def test_rows_that_are_not_contiguous() -> None:
    sparse, dense = codes(20, 6, 10, 3)
    rows = random_states(20, 12)[:, ::2]
    torch.testing.assert_close(
        sparse.sum_by_feature(rows, sparse.activations), dense.sum_by_feature(rows, dense.activations)
    )


def test_a_code_in_which_nothing_fires() -> None:
    code = kernels.keep_above(torch.full((4, 6), -1.0, dtype=torch.float64), 0.0)
    decoder, rows = random_weights(3, 6).decoder, random_states(4, 3)
    assert code.decode(decoder).tolist() == [[0.0] * 3] * 4
    assert code.pulls(decoder, rows).tolist() == []
    assert code.sum_by_feature(rows, code.activations).tolist() == [[0.0] * 3] * 6
    assert code.firings().tolist() == [0] * 6


def test_codes_of_consecutive_tokens_as_one() -> None:
    pre = random_states(11, 9)
    parts = [kernels.keep_above(part, 0.5) for part in torch.split(pre, 4)]
    torch.testing.assert_close(as_dense(kernels.concatenated(parts)), as_dense(kernels.keep_above(pre, 0.5)))


def test_entries_that_do_not_fire_are_left_out() -> None:
    code = kernels.keep_above(random_states(9, 7), 0.0)
    silenced = code.with_activations(code.activations * (code.features % 2))
    assert as_dense(silenced.firing()).equal(as_dense(silenced))
    assert bool((silenced.firing().activations > 0).all())


def test_the_parallel_part_of_the_decoder_gradient_is_gone() -> None:
    decoder, gradient = random_weights(6, 9).decoder, random_states(9, 6)
    kernels.remove_parallel_part(gradient, decoder)
    torch.testing.assert_close((gradient * decoder).sum(1), torch.zeros(9, dtype=torch.float64))


def test_clipping_bounds_the_joint_norm_and_leaves_small_gradients_alone() -> None:
    large, small = random_weights(4, 8), random_weights(4, 8).map(lambda weight: 0.001 * weight)
    before = small.map(torch.clone)
    for gradients in (large, small):
        kernels.clip_(gradients, float(kernels.joint_norm(gradients)), 1.0)
    assert torch.cat([g.flatten() for g in large.present().values()]).norm() == pytest.approx(1.0)
    assert all(small.present()[name].equal(weight) for name, weight in before.present().items())


def test_adam_follows_its_formula() -> None:
    weights, gradients = random_weights(3, 4), random_weights(3, 4, seed=5)
    start = weights.map(torch.clone).present()
    adam = Adam(weights, beta1=0.9, beta2=0.99, epsilon=1e-8)
    for _ in range(2):
        adam.update(gradients, learning_rate=0.01)
    for name, weight in weights.present().items():
        gradient = gradients.present()[name]
        expected = start[name] - 2 * 0.01 * gradient / (gradient.abs() + 1e-8)  # constant: both moments are exact
        torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-9)


def test_adam_continues_from_restored_moments_bit_for_bit() -> None:
    gradients = [random_weights(3, 4, seed=seed, dtype=torch.float32) for seed in range(5)]
    through = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients:
        through.update(gradient, 0.01)

    first = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients[:2]:
        first.update(gradient, 0.01)
    second = Adam(first.weights.map(torch.clone), 0.9, 0.999, 1e-8)
    second.restore(2, first.first_moments.map(torch.clone), first.second_moments.map(torch.clone))
    for gradient in gradients[2:]:
        second.update(gradient, 0.01)

    found = second.weights.present()
    assert all(found[name].equal(weight) for name, weight in through.weights.present().items())


def test_features_that_begin_anew_have_no_past() -> None:
    adam = Adam(random_weights(3, 5), 0.9, 0.999, 1e-8)
    adam.update(random_weights(3, 5, seed=2), 0.01)
    adam.forget(torch.tensor([1, 4]))
    assert adam.first_moments.encoder[[1, 4]].count_nonzero() == 0
    assert adam.first_moments.encoder[[0, 2, 3]].count_nonzero() == 9
    assert adam.first_moments.decoder_bias.count_nonzero() == 3
