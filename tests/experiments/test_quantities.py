"""Numbers as people read them."""

from __future__ import annotations

import pytest

from experiments.templatetags import quantities


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, "–"), ("", "–"), (0, "0"), (9_216, "9,216"), (12_345, "12.3k"), (2_000_000, "2.0M"), (3e12, "3.0T")],
)
def test_counts(number: float | None, words: str) -> None:
    assert quantities.count(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.2, "under 1 s"),
        (42, "42 s"),
        (110, "1 min 50 s"),
        (120, "2 min"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert quantities.duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(None, "–"), (512_000, "512 kB"), (6_200_000, "6.2 MB"), (1_400_000_000, "1.4 GB")]
)
def test_sizes(number: float | None, words: str) -> None:
    assert quantities.in_bytes(number) == words


def test_shares_and_decimals() -> None:
    assert quantities.share(0.0312) == "3.1 %"
    assert quantities.share(0.885, 0) == "88 %"
    assert quantities.share("") == "–"
    assert quantities.decimals(2.34567) == "2.346"
    assert quantities.decimals(None) == "–"
    assert quantities.exactly(1_500_000) == "1,500,000"


def test_marks_of_an_axis_and_small_shares() -> None:
    assert [quantities.as_power(exponent) for exponent in (-6, -1, 0)] == ["10⁻⁶", "0.1", "1"]
    assert (quantities.as_share(3.16e-6), quantities.as_share(0.1), quantities.as_share(None)) == (
        "0.00032 %",
        "10 %",
        "–",
    )
    assert quantities.scaled(50, 220) == "110.0"
