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
    assert torch.equal(sparse.firings, dense.firings)
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
    assert code.firings.tolist() == [0] * 6


def test_codes_of_consecutive_tokens_as_one() -> None:
    pre = random_states(11, 9)
    parts = [kernels.keep_above(part, 0.5) for part in torch.split(pre, 4)]
    torch.testing.assert_close(as_dense(kernels.concatenated(parts)), as_dense(kernels.keep_above(pre, 0.5)))


def test_entries_that_do_not_fire_are_left_out() -> None:
    code = kernels.keep_above(random_states(9, 7), 0.0)
    silenced = code.with_activations(code.activations * (code.features % 2))
    assert as_dense(silenced.firing()).equal(as_dense(silenced))
    assert bool((silenced.firing().activations > 0).all())


DTYPES = [torch.float64, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_norm_of_gradients_without_what_points_along_the_decoder(dtype: torch.dtype) -> None:
    weights, gradients = random_weights(6, 9, dtype=dtype), random_weights(6, 9, seed=2, dtype=dtype)
    norm, along = kernels.tangent_norm(gradients, weights.decoder)
    torch.testing.assert_close(along, (gradients.decoder * weights.decoder).sum(1))
    left = gradients._replace(decoder=gradients.decoder - along[:, None] * weights.decoder)
    assert float(norm) == pytest.approx(float(torch.cat([g.flatten() for g in left.present().values()]).norm()))
    gradients.encoder[2, 3] = torch.nan
    assert not bool(kernels.tangent_norm(gradients, weights.decoder)[0].isfinite())


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_follows_its_formula(dtype: torch.dtype) -> None:
    """Constant gradients: both moments are exact. The decoder stays on the sphere."""
    weights, gradients = random_weights(3, 4, dtype=dtype), random_weights(3, 4, seed=5, dtype=dtype)
    expected = weights.map(torch.clone).present()
    adam = Adam(weights, beta1=0.9, beta2=0.99, epsilon=1e-8)
    slopes = (gradients._replace(decoder=torch.zeros(4, 3, dtype=dtype))).present()
    for _ in range(2):
        given = Weights(**{name: slope.clone() for name, slope in slopes.items()})
        adam.update(given, learning_rate=0.01, scale=0.5, along=torch.zeros(4, dtype=dtype))
    for name, weight in weights.present().items():
        slope = 0.5 * slopes[name]
        torch.testing.assert_close(
            weight, expected[name] - 2 * 0.01 * slope / (slope.abs() + 1e-8), rtol=1e-5, atol=1e-6
        )


def test_the_compiled_step_is_that_of_torch() -> None:
    """Several steps on both, with what points along the decoder's rows; and rounded copies of what comes out."""
    expected = random_weights(19, 33)
    found = expected.map(lambda weight: weight.float())
    left, right = Adam(found, 0.9, 0.99, 1e-8), Adam(expected, 0.9, 0.99, 1e-8)
    copies = (torch.zeros(33, 32, dtype=torch.bfloat16)[:, :19], torch.zeros(33, 19, dtype=torch.bfloat16))
    for step in range(5):
        gradients = random_weights(19, 33, seed=step + 10)
        single = gradients.map(lambda gradient: gradient.float())
        norm, along = kernels.tangent_norm(gradients, expected.decoder)
        assert float(kernels.tangent_norm(single, found.decoder)[0]) == pytest.approx(float(norm), rel=1e-5)
        left.update(single, 0.01, scale=float(1 / norm), along=along.float(), copies=copies)
        right.update(gradients, 0.01, scale=float(1 / norm), along=along)
    for name, weight in expected.present().items():
        torch.testing.assert_close(found.present()[name], weight.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.decoder.norm(dim=1), torch.ones(33))
    assert copies[0].equal(found.encoder.bfloat16())
    assert copies[1].equal(found.decoder.bfloat16())


def updated(adam: Adam, gradients: Weights) -> None:
    _, along = kernels.tangent_norm(gradients, adam.weights.decoder)
    adam.update(gradients.map(torch.clone), 0.01, along=along)


def test_adam_continues_from_restored_moments_bit_for_bit() -> None:
    gradients = [random_weights(3, 4, seed=seed, dtype=torch.float32) for seed in range(5)]
    through = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients:
        updated(through, gradient)

    first = Adam(random_weights(3, 4, dtype=torch.float32), 0.9, 0.999, 1e-8)
    for gradient in gradients[:2]:
        updated(first, gradient)
    second = Adam(first.weights.map(torch.clone), 0.9, 0.999, 1e-8)
    second.restore(2, first.first_moments.map(torch.clone), first.second_moments.map(torch.clone))
    for gradient in gradients[2:]:
        updated(second, gradient)

    found = second.weights.present()
    assert all(found[name].equal(weight) for name, weight in through.weights.present().items())


def test_features_that_begin_anew_have_no_past() -> None:
    adam = Adam(random_weights(3, 5), 0.9, 0.999, 1e-8)
    updated(adam, random_weights(3, 5, seed=2))
    adam.forget(torch.tensor([1, 4]))
    assert adam.first_moments.encoder[[1, 4]].count_nonzero() == 0
    assert adam.first_moments.encoder[[0, 2, 3]].count_nonzero() == 9
    assert adam.first_moments.decoder_bias.count_nonzero() == 3
