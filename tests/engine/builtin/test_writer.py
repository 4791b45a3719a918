"""Writing documents: what is planted where, what is bound, what is not repeated."""

from itertools import pairwise
from random import Random

import pytest

from experiments.engine.builtin.corpus.writer import Choice, Rule, Span, Writer, phrases, words

RULES: dict[str, Rule] = {
    "animal": words("animal", "owl"),
    "fruit": words("fruit", "apple pear plum"),
    "sentence": phrases("One {fruit}.", "No fruit.", concept="sentence"),
}


@pytest.fixture
def write() -> Writer:
    return Writer(RULES, Random(0))


def test_a_slot_plants_the_concept_of_its_rule_without_the_article(write: Writer) -> None:
    write("I saw {a animal}.")
    assert write.text == "I saw an owl."
    assert write.spans == (Span(9, 12, "animal"),)


def test_a_capital_starts_the_word_and_the_article(write: Writer) -> None:
    write("{^animal} {A animal}")
    assert write.text == "Owl An owl"


def test_a_tail_follows_its_class_only_where_the_sentence_pauses_and_is_not_labelled() -> None:
    write = Writer(RULES, Random(0), {"animal": ("in the dark",)})
    write(" ".join(["{animal}, {animal} nests"] * 40))
    assert "owl in the dark," in write.text
    assert "owl," in write.text
    assert "owl in the dark nests" not in write.text
    assert {write.text[span.start : span.stop] for span in write.spans} == {"owl"}


def test_marks_nest(write: Writer) -> None:
    write('"[speech|an {animal}]"')
    assert set(write.spans) == {Span(1, 7, "speech"), Span(4, 7, "animal")}


def test_a_bound_word_stays_the_same_and_keeps_its_concept(write: Writer) -> None:
    write.bind(dessert="fruit")
    write("{dessert} {dessert} {dessert}")
    assert len(set(write.text.split())) == 1
    assert [span.concept for span in write.spans] == ["fruit"] * 3


def test_values_are_plain_unless_they_carry_a_concept(write: Writer) -> None:
    write("{count} {word}", count=3, word=Choice("number", "three"))
    assert write.text == "3 three"
    assert write.spans == (Span(2, 7, "number"),)


def test_a_rule_does_not_give_the_same_word_twice_in_a_row(write: Writer) -> None:
    write(" ".join(["{fruit}"] * 50))
    fruits = write.text.split()
    assert all(fruit != following for fruit, following in pairwise(fruits))


def test_sentences_are_parted_by_spaces_and_come_once_before_they_come_twice(write: Writer) -> None:
    write("Title\n")
    write.sentences("sentence", "sentence")
    paragraph = write.text.removeprefix("Title\n")
    assert "No fruit." in paragraph
    assert "One " in paragraph
    assert paragraph.count(".") == 2
    assert [write.text[span.start : span.stop] for span in write.spans if span.concept == "sentence"] == [
        sentence + "." for sentence in paragraph.removesuffix(".").split(". ")
    ]


def test_distinct_words_differ(write: Writer) -> None:
    assert {choice.text for choice in write.distinct("fruit", 3)} == {"apple", "pear", "plum"}
