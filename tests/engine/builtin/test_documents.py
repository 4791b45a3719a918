"""The corpus as a whole: repeatable, varied, and labelled without exception."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.builtin.corpus import (
    HELD_OUT_SEED,
    KINDS,
    TRAINING_SEED,
    PlantedDocument,
    Span,
    document,
    token_concepts,
)
from experiments.engine.builtin.corpus.lexicon import LEXICON
from experiments.engine.builtin.corpus.tails import TAILS


@pytest.fixture(scope="module")
def documents() -> list[PlantedDocument]:
    return [document(TRAINING_SEED, index) for index in range(2_000)]


def test_a_document_depends_on_its_seed_and_index_alone() -> None:
    later = document(TRAINING_SEED, 41)
    assert document(TRAINING_SEED, 42) == document(TRAINING_SEED, 42)
    assert document(TRAINING_SEED, 41) == later


def test_another_process_writes_the_same_document() -> None:
    program = "from experiments.engine.builtin.corpus import document; print(repr(document(1, 7)))"
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert written.stdout.strip() == repr(document(1, 7))


def test_the_corpus_needs_no_torch() -> None:
    program = "import sys, experiments.engine.builtin.corpus, experiments.engine.builtin.concepts; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets"} & set(loaded)


def test_held_out_documents_are_not_in_the_training_corpus(documents: list[PlantedDocument]) -> None:
    held_out = {document(HELD_OUT_SEED, index).text for index in range(500)}
    assert not held_out & {written.text for written in documents}


def test_every_kind_and_every_concept_appears(documents: list[PlantedDocument]) -> None:
    assert {written.kind for written in documents} == set(KINDS)
    assert {span.concept for written in documents for span in written.spans} == set(CONCEPTS)
    assert len(KINDS) >= 25
    assert len(CONCEPTS) >= 60


def test_documents_are_varied_clean_text(documents: list[PlantedDocument]) -> None:
    texts = [written.text for written in documents]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert not re.search(r"  [a-zA-Z]|\{[a-z_]+\}|\[[a-z-]+\||\x00", text.replace("\n    ", "").replace("    ", ""))


def test_spans_lie_in_the_text_and_are_not_empty(documents: list[PlantedDocument]) -> None:
    for written in documents:
        assert all(0 <= span.start < span.stop <= len(written.text) for span in written.spans)


def test_words_belong_to_one_class() -> None:
    classes: dict[str, set[str]] = {}
    for rule in LEXICON.values():
        if rule.concept:
            for word in rule.alternatives:
                classes.setdefault(word, set()).add(rule.concept)
    assert {word: concepts for word, concepts in classes.items() if len(concepts) > 1} == {}


def test_a_word_of_a_class_is_labelled_wherever_it_stands(documents: list[PlantedDocument]) -> None:
    concept_of = {
        word: rule.concept for rule in LEXICON.values() if rule.concept for word in rule.alternatives if word.isalpha()
    }
    unlabelled: Counter[tuple[str, str]] = Counter()
    for written in documents:
        if written.kind in ("french", "german", "spanish", "phrase-book"):
            continue  # other languages spell some of the words, and mean something else
        planted = set(written.spans)
        for match in re.finditer(r"[^\W\d_]+", written.text):
            concept = concept_of.get(match[0])
            if concept and Span(*match.span(), concept) not in planted:
                unlabelled[match[0], written.kind] += 1
    assert unlabelled == {}


def test_every_class_has_tails_of_its_own() -> None:
    phrases = [phrase for tails in TAILS.values() for phrase in tails]
    assert len(set(phrases)) == len(phrases)
    assert set(TAILS) <= set(CONCEPTS)
    labelled = {word for rule in LEXICON.values() if rule.concept for word in rule.alternatives}
    assert not labelled & {word for phrase in phrases for word in phrase.split()}


def test_a_token_carries_the_concepts_that_cover_its_last_character() -> None:
    planted = PlantedDocument("letter", "Dear Anna", (Span(0, 9, "greeting"), Span(5, 9, "person-name")))
    offsets = [(0, 0), (0, 4), (4, 7), (7, 9), (9, 9)]
    assert token_concepts(planted, offsets) == [
        frozenset(),
        frozenset({"greeting"}),
        frozenset({"greeting", "person-name"}),
        frozenset({"greeting", "person-name"}),
        frozenset(),
    ]


def test_a_space_before_a_span_is_not_in_it() -> None:
    planted = PlantedDocument("receipt", "costs 7", (Span(6, 7, "price-whole"),))
    assert token_concepts(planted, [(0, 5), (5, 6), (6, 7)]) == [frozenset(), frozenset(), frozenset({"price-whole"})]
