"""Sums by document and their bootstrap, against drawing the documents one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.engine import document_sums
from experiments.engine.document_sums import DocumentSums, intervals_of, numbers_of


def ratio(sums: Tensor) -> dict[str, Tensor]:
    return {"ratio": sums[..., 1] / sums[..., 0]}


def test_values_are_summed_where_they_belong() -> None:
    sums = DocumentSums(2)
    sums.add(np.array([70, 3, 70], np.int32), torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]))
    sums.add(np.array([3], np.int32), torch.tensor([[0.5, 0.25]]))
    assert sorted(sums.rows.tolist()) == [[10.5, 20.25], [101.0, 202.0]]
    assert sums.total.tolist() == [111.5, 222.25]


def test_more_documents_than_groups_share_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_sums, "GROUPS", 4)
    sums = DocumentSums(1)
    sums.add(np.arange(10), torch.ones(10, 1))
    assert sums.rows[:, 0].tolist() == [3, 3, 2, 2]


def test_the_sums_keep_digits_that_single_precision_loses() -> None:
    sums = DocumentSums(1)
    for _ in range(3):
        sums.add(np.zeros(1, np.int64), torch.tensor([[16_777_216.0]]))
        sums.add(np.zeros(1, np.int64), torch.tensor([[1.0]]))
    assert sums.total.item() == 3 * 16_777_217


def test_an_interval_is_what_drawing_documents_again_gives() -> None:
    random = np.random.default_rng(1)
    rows = np.stack([random.integers(5, 50, 40), random.normal(30, 10, 40)], 1)
    drawn = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), document_sums.RESAMPLES)
    ratios = [sum(n * r[1] for n, r in zip(row, rows, strict=True)) / float(row @ rows[:, 0]) for row in drawn]
    found = intervals_of(torch.from_numpy(rows), ratio)["ratio"]
    assert found == pytest.approx(np.percentile(ratios, [2.5, 97.5]).tolist())
    assert found[0] < numbers_of(torch.from_numpy(rows.sum(0)), ratio)["ratio"] < found[1]  # type: ignore[operator]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        rows = torch.from_numpy(np.stack([np.ones(60), random.normal(2.0, 1.0, 60)], 1))
        low, high = intervals_of(rows, ratio)["ratio"]
        held += low <= 2.0 <= high
    assert 86 <= held <= 100


def test_one_document_has_no_interval_and_what_is_undefined_neither() -> None:
    assert intervals_of(torch.ones(1, 2), ratio) == {}
    assert intervals_of(torch.zeros(5, 2, dtype=torch.float64), ratio) == {}
    assert numbers_of(torch.zeros(2), ratio) == {"ratio": None}
