"""Matching features of two SAEs, against a loop that takes the closest pair again and again."""

from __future__ import annotations

import pytest
import torch

from experiments.engine import seed_stability
from experiments.engine.seed_stability import matched_share, matches


def test_pairs_are_those_of_taking_the_closest_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_stability, "COSINES_AT_ONCE", 60)  # several chunks
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(30, 3, generator=random), torch.randn(20, 3, generator=random)
    cosines = torch.cosine_similarity(first.double()[:, None], second.double()[None], dim=2)
    expected = []
    while float(cosines.max()) > 0.7:
        a, b = divmod(int(cosines.argmax()), 20)
        expected.append((a, b))
        cosines[a], cosines[:, b] = -1, -1
    assert [(a, b) for a, b, _ in matches(first, second)] == expected
    assert matched_share(first, second) == len(expected) / 30


def test_an_sae_shares_everything_with_itself_in_another_order_and_nothing_with_its_opposite() -> None:
    rows = torch.randn(40, 24, generator=torch.Generator().manual_seed(1))
    assert matched_share(rows, rows.flip(0) * 3) == 1.0
    assert matched_share(torch.eye(5), -torch.eye(5)) == 0.0


def test_one_feature_is_matched_once() -> None:
    assert matched_share(torch.ones(4, 2), torch.ones(4, 2)[:1]) == 0.25
