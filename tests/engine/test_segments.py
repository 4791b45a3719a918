"""The order of training is a function of the seed and covers everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.engine.input_statistics import geometric_median, measure
from experiments.engine.segments import Position, batches_in, cut_into_segments, shuffled


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


@pytest.mark.parametrize(("states", "batches"), [(1_000, 10), (1_099, 10), (100, 1), (7, 1)])
def test_whole_batches(states: int, batches: int) -> None:
    assert batches_in(states, 100) == batches


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
