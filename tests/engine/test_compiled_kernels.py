"""Every compiled kernel against plain matrices in float64: random shapes, types, ties, what is not contiguous."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.kernels import DenseCode, SparseCode
from tests.engine.random_sae import as_dense, random_states, random_weights

TYPES = st.sampled_from([torch.float32, torch.bfloat16])
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True, params=[1, 3])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def drawn(tokens: int, features: int, seed: int, dtype: torch.dtype, *, ties: bool) -> Tensor:
    """Pre-activations; with ties few values, so that many are equal, and rows in which none is positive."""
    numbers = random_states(tokens, features, seed=seed, dtype=torch.float32)
    if ties:
        numbers = numbers.round()
        numbers[::3] = -numbers[::3].abs()
    return numbers.to(dtype)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 40), st.integers(0, 9), TYPES, st.booleans())
def test_the_largest_per_token(tokens: int, features: int, k: int, seed: int, dtype: torch.dtype, ties: bool) -> None:
    pre = drawn(tokens, features, seed, dtype, ties=ties)
    code = kernels.keep_largest_per_token(pre, min(k, features))
    expected = pre.float().topk(min(k, features), dim=1).values.relu()
    found = as_dense(code)
    torch.testing.assert_close(found.topk(min(k, features), dim=1).values, expected, rtol=0, atol=0)
    assert code.activations.equal(pre.float()[code.tokens, code.features])
    assert bool((code.activations > 0).all())
    assert int(found.count_nonzero()) == len(code.features), "no feature twice"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(2, 200), st.integers(1, 20), st.integers(0, 9), TYPES, st.booleans())
def test_the_largest_per_token_of_some_features(
    tokens: int, features: int, k: int, seed: int, dtype: torch.dtype, ties: bool
) -> None:
    pre = drawn(tokens, features, seed, dtype, ties=ties)
    chosen = torch.randperm(features, generator=torch.Generator().manual_seed(seed))[: features // 2].sort().values
    code = kernels.keep_largest_per_token_of(pre, chosen, k)
    among = pre.float()[:, chosen]
    expected = among.topk(min(k, len(chosen)), dim=1).values.relu()
    torch.testing.assert_close(as_dense(code)[:, chosen].topk(min(k, len(chosen)), dim=1).values, expected)
    assert bool(torch.isin(code.features, chosen).all())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 200), st.integers(0, 9), TYPES, st.booleans(), st.booleans())
def test_what_is_above_thresholds(
    tokens: int, features: int, seed: int, dtype: torch.dtype, ties: bool, of_each: bool
) -> None:
    pre = drawn(tokens, features, seed, dtype, ties=ties)
    threshold = random_states(1, features, seed=seed + 1, dtype=torch.float32)[0].abs() if of_each else 1.0
    code = kernels.keep_above(pre, threshold)
    assert as_dense(code).equal(pre.float() * (pre.float() > threshold))
    assert code.starts.diff().equal((pre.float() > threshold).sum(1))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 400), st.integers(0, 5), TYPES)
def test_the_largest_values_of_a_batch(tokens: int, features: int, count: int, seed: int, dtype: torch.dtype) -> None:
    pre = drawn(tokens, features, seed, dtype, ties=True)
    expected = pre[pre > 0].float().sort(descending=True).values[:count]
    assert kernels.largest_values(pre, count).float().equal(expected)


def codes(tokens: int, features: int, seed: int) -> tuple[SparseCode, DenseCode]:
    """The same code twice, with tokens on which nothing fires and features that never do."""
    pre = drawn(tokens, features, seed, torch.float32, ties=False)
    pre[::4] = -1
    pre[:, ::5] = -1
    sparse = kernels.keep_above(pre, 0.3)
    dense = as_dense(sparse).double()
    return sparse, DenseCode(dense, dense > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(0, 9), TYPES, st.booleans())
def test_sums_over_a_sparse_code_are_those_over_matrices(
    tokens: int, width: int, features: int, seed: int, dtype: torch.dtype, sliced: bool
) -> None:
    sparse, dense = codes(tokens, features, seed)
    decoder = random_weights(width + 3, features, seed, torch.float32).decoder.to(dtype)
    rows = random_states(tokens, width + 3, seed + 1, torch.float32)
    bias = random_states(1, width, seed + 2, torch.float32)[0]
    # The first columns of longer rows, and columns in the middle.
    decoder, rows = (decoder[:, :width], rows[:, :width]) if sliced else (decoder[:, 2:-1], rows[:, 2:-1])
    exact, exact_rows = decoder.double(), rows.double()

    torch.testing.assert_close(sparse.decode(decoder).double(), dense.decode(exact), **TOLERANCE)
    pulls = dense.pulls(exact, exact_rows)
    values = sparse.pulls(decoder, rows)
    torch.testing.assert_close(as_dense(sparse, values).double(), pulls, **TOLERANCE)
    found, expected = sparse.fit(decoder, bias, rows, 0.5), dense.fit(exact, bias.double(), exact_rows, 0.5)
    torch.testing.assert_close(found[0].double(), expected[0], **TOLERANCE)
    torch.testing.assert_close(as_dense(sparse, found[1]).double(), expected[1], **TOLERANCE)
    torch.testing.assert_close(
        sparse.sum_by_feature(rows, values).double(), dense.sum_by_feature(exact_rows, pulls), **TOLERANCE
    )
    torch.testing.assert_close(sparse.total_by_feature(values).double(), dense.total_by_feature(pulls), **TOLERANCE)
    totals = random_states(1, features, seed + 3, torch.float32)[0]
    torch.testing.assert_close(kernels.weighted_total(decoder, totals).double(), totals.double() @ exact, **TOLERANCE)


def test_the_number_of_threads_changes_nothing() -> None:
    sparse, _ = codes(2_000, 300, 1)
    decoder, rows = random_weights(40, 300, 1, torch.float32).decoder, random_states(2_000, 40, 1, torch.float32)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        miss, pulls = sparse.fit(decoder, decoder[0], rows, 1.0)
        found.append(torch.cat([miss.flatten(), pulls, sparse.sum_by_feature(rows, pulls).flatten()]))
    assert found[0].equal(found[1])
    assert found[0].equal(found[2])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounded_copies_are_those_of_torch(seed: int) -> None:
    weights = random_weights(5, 7, seed % 2**31, torch.float32).map(lambda weight: weight * 10.0 ** (seed % 30 - 15))
    adam = kernels.Adam(weights, 0.9, 0.999, 1e-8)
    copies = (torch.empty(7, 5, dtype=torch.bfloat16), torch.empty(7, 5, dtype=torch.bfloat16))
    adam.update(weights.map(torch.zeros_like), 0.0, along=torch.zeros(7), copies=copies)
    assert copies[0].equal(weights.encoder.bfloat16())
    assert copies[1].equal(weights.decoder.bfloat16())
