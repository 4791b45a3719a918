"""The template language: slots, marks, doubled braces and plain brackets."""

import pytest

from experiments.engine.builtin.corpus.template import Close, Open, Slot, parse


def test_text_slots_and_marks_come_out_in_order() -> None:
    assert parse("On {weekday} [price|{amount}] paid") == (
        "On ", Slot("weekday"), " ", Open("price"), Slot("amount"), Close(), " paid",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "slot"),
    [
        ("{a animal}", Slot("animal", article=True)),
        ("{A animal}", Slot("animal", article=True, capital=True)),
        ("{^animal}", Slot("animal", capital=True)),
    ],
)
def test_a_slot_may_ask_for_an_article_and_a_capital(template: str, slot: Slot) -> None:
    assert parse(template) == (slot,)


def test_doubled_braces_and_brackets_without_a_concept_are_text() -> None:
    assert parse('{{"rows": items[0]}}') == ('{"rows": items[0]}',)


def test_a_concept_left_open_is_refused() -> None:
    with pytest.raises(ValueError, match="left open"):
        parse("[price|{amount}")
