"""The order of training is a function of the seed and covers everything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.engine.input_statistics import geometric_median, measure
from experiments.engine.segments import Position, batches_of, cut_into_segments, shuffled


def test_segments_hold_every_window_once_in_nearly_equal_parts() -> None:
    segments = cut_into_segments(windows=1_003, window_tokens=128, segment_tokens=16_384, seed=5)
    sizes = [len(segment) for segment in segments]
    assert sorted(np.concatenate(segments)) == list(range(1_003))
    assert len(segments) == 8
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_the_order() -> None:
    first, again, other = (np.concatenate(cut_into_segments(100, 8, 80, seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("windows", [1, 2, 7])
def test_a_small_corpus_is_one_segment(windows: int) -> None:
    assert [len(segment) for segment in cut_into_segments(windows, 16, 2**18, seed=0)] == [windows]


def test_every_epoch_and_segment_has_its_own_order() -> None:
    orders = [
        tuple(shuffled(50, 3, position))
        for position in (Position(), Position(epoch=1), Position(segment=1), Position(epoch=1, segment=1))
    ]
    assert len(set(orders)) == 4
    assert tuple(shuffled(50, 3, Position(step=9, batch=4))) == orders[0]
    assert sorted(orders[0]) == list(range(50))


def test_positions_wrap_into_the_next_epoch() -> None:
    position = Position(step=4, epoch=0, segment=2, batch=4)
    assert position.after_batch() == Position(step=5, epoch=0, segment=2, batch=5)
    assert position.after_segment(segments=3) == Position(step=4, epoch=1, segment=0, batch=0)
    assert position.after_segment(segments=4) == Position(step=4, epoch=0, segment=3, batch=0)


@pytest.mark.parametrize(
    ("states", "text", "sizes"),
    [
        (1_000, 1_000, [100] * 10),
        (1_001, 1_001, [91] * 11),
        (260, 260, [87, 87, 86]),
        (190, 201, [64, 64, 62]),
        (100, 100, [100]),
        (7, 7, [7]),
        (2, 250, [1, 1]),
    ],
)
def test_a_segment_is_cut_into_even_batches(states: int, text: int, sizes: list[int]) -> None:
    batches = batches_of(states, text, 100)
    assert [batch.stop - batch.start for batch in batches] == sizes
    assert [number for batch in batches for number in range(states)[batch]] == list(range(states))


@given(states=st.integers(1, 5_000), outliers=st.integers(0, 50), batch=st.integers(1, 600))
def test_no_state_is_left_over_and_no_batch_is_too_large(states: int, outliers: int, batch: int) -> None:
    batches = batches_of(states, states + outliers, batch)
    assert batches[0].start == 0
    assert batches[-1].stop == states
    assert all(one.stop == following.start for one, following in pairwise(batches))
    assert all(0 < one.stop - one.start <= batch for one in batches)
    assert len(batches) <= -(-(states + outliers) // batch)


def test_the_geometric_median_has_the_least_summed_distance() -> None:
    random = torch.Generator().manual_seed(2)
    points = torch.randn(400, 3, generator=random).exp()  # skewed, so that it is not the mean
    median = geometric_median(points)

    def summed_distance(centre: torch.Tensor) -> float:
        return float((points - centre).norm(dim=1).sum())

    nearby = [median + 0.05 * torch.randn(3, generator=random) for _ in range(50)]
    assert summed_distance(median) <= min(map(summed_distance, nearby)) + 1e-3
    assert summed_distance(median) < summed_distance(points.mean(0))


def test_inputs_are_scaled_to_a_mean_square_norm_of_one() -> None:
    states = 7 + 3 * torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    statistics = measure(states, states)
    assert (states * statistics.scales.input).square().sum(1).mean().item() == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(
        statistics.centre, geometric_median(states) * statistics.scales.output, rtol=1e-3, atol=1e-4
    )


def test_hidden_states_that_are_all_zero_do_not_divide_by_zero() -> None:
    statistics = measure(torch.zeros(10, 4), torch.ones(10, 4))
    assert statistics.scales.input > 0
    assert statistics.centre.isfinite().all()
