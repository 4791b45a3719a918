"""The rows with the largest products are those of exact arithmetic, whatever the first look is computed in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experiments.engine import row_search
from experiments.engine.row_search import RowSearch


def rows_of(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(("count", "width", "wanted"), [(3_000, 64, 10), (12, 5, 10), (10, 1, 10)])
def test_both_ends_are_those_of_exact_products(
    monkeypatch: pytest.MonkeyPatch, count: int, width: int, wanted: int, rounded: bool
) -> None:
    monkeypatch.setattr(row_search, "multiplies_bfloat16", lambda: rounded)
    rows, vectors = rows_of(count, width, 1), rows_of(40, width, 2)
    products, exact = RowSearch(rows).products(vectors), vectors @ rows.T
    for (values, found), largest in ((products.largest(wanted), True), (products.smallest(wanted), False)):
        expected = exact.topk(wanted, largest=largest)
        assert found.tolist() == expected.indices.tolist()
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, expected.values)


@pytest.mark.parametrize("rounded", [False, True])
def test_a_row_can_be_left_out_for_each_vector(monkeypatch: pytest.MonkeyPatch, rounded: bool) -> None:
    monkeypatch.setattr(row_search, "multiplies_bfloat16", lambda: rounded)
    rows = rows_of(8, 16, 3)
    itself = torch.arange(2, 5)
    _, found = RowSearch(rows).products(rows[2:5], without=itself).largest(7)
    for row, others in zip(itself.tolist(), found.tolist(), strict=True):
        assert sorted([row, *others]) == list(range(8))
