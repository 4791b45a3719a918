"""The ground floor's rules for what people type: text, names, numbers, and the refusals they end in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentlens.lib.numbers import parse_integer, parse_number
from latentlens.lib.problems import Conflict, NotFound, Refused, TooLarge, refused_field
from latentlens.lib.text import clean_name, clean_text


def test_a_name_is_one_tidy_line() -> None:
    assert clean_name("  my \t first\r\nexperiment ", field="name") == "my first experiment"


def test_text_keeps_its_lines() -> None:
    assert clean_text(" one\r\ntwo\rthree\n", field="note") == "one\ntwo\nthree"


def test_text_is_composed() -> None:
    assert clean_name("cafe\u0301", field="name") == "caf\u00e9"


def test_markup_is_text() -> None:
    assert clean_name("<script>alert(1)</script>", field="name") == "<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("   ", "Name is empty"),
        ("a\x00b", "control characters"),
        ("a\x1bb", "control characters"),
        ("a\ud800b", "half of a character"),
        ("x" * 201, "has 201 characters; 200 are the most"),
    ],
)
def test_names_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refusal:
        clean_name(text, field="name")
    assert refusal.value.fields == {"name": refusal.value.message}


def test_an_empty_text_is_refused_only_where_it_is_required() -> None:
    assert clean_text(" ", field="note") == ""
    with pytest.raises(Refused, match="Note is empty"):
        clean_text(" ", field="note", required=True)


@given(st.text())
def test_what_is_accepted_is_storable_and_stays_the_same(text: str) -> None:
    try:
        cleaned = clean_text(text, field="note", maximum=1000)
    except Refused:
        return
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")
    assert clean_text(cleaned, field="note", maximum=10_000) == cleaned


@pytest.mark.parametrize(
    ("value", "meant"), [("4,096", 4096), (" 4 096 ", 4096), ("4_096", 4096), ("+7", 7), (7, 7), (7.0, 7)]
)
def test_whole_numbers(value: Any, meant: int) -> None:
    assert parse_integer(value, field="k", minimum=0, maximum=10_000) == meant


@pytest.mark.parametrize(
    "value", ["", "1.5", 1.5, True, None, [1], float("nan"), float("inf"), "nan", "1e3", -1, 10_001, 10**30, "9" * 30]
)
def test_what_is_not_a_whole_number_in_range(value: Any) -> None:
    with pytest.raises(Refused, match="k must be a whole number from 0 to 10,000") as refusal:
        parse_integer(value, field="k", minimum=0, maximum=10_000)
    assert set(refusal.value.fields) == {"k"}


@pytest.mark.parametrize("value", ["16,32", "1,00", "1,0000", ",100", "1 2"])
def test_a_list_is_no_number_with_thousands_apart(value: str) -> None:
    with pytest.raises(Refused, match="k must be a whole number"):
        parse_integer(value, field="k", minimum=0, maximum=10_000)


@pytest.mark.parametrize(("value", "meant"), [("0.25", 0.25), (1, 1.0), ("1e-3", 0.001)])
def test_numbers(value: Any, meant: float) -> None:
    assert parse_number(value, field="confidence", minimum=0, maximum=1) == meant


@pytest.mark.parametrize(
    "value", ["", "x", True, None, float("nan"), "NaN", "Infinity", "-inf", 1e400, 10**400, -0.1, 1.1]
)
def test_what_is_not_a_number_in_range(value: Any) -> None:
    with pytest.raises(Refused, match="confidence must be a number from 0 to 1"):
        parse_number(value, field="confidence", minimum=0, maximum=1)


def test_a_problem_is_a_body() -> None:
    body = refused_field("k", "k is larger than n_features.").body
    assert body == {
        "error": {
            "code": "refused",
            "message": "k is larger than n_features.",
            "fields": {"k": "k is larger than n_features."},
        }
    }
    assert [problem.status for problem in (Refused, NotFound, Conflict, TooLarge)] == [422, 404, 409, 413]
