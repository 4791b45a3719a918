"""What the activation index answers is what the rules of the synthetic index say."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.engine.artifacts import ExperimentFolder
from features.activation_index import ActivationIndex, Context, Example, IndexUnavailable
from tests.features import synthetic_index as synthetic
from tests.features.synthetic_index import SyntheticIndex


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ActivationIndex:
    folder = ExperimentFolder(tmp_path_factory.mktemp("experiment"))
    synthetic.write_index(folder)
    return ActivationIndex(folder)


def peaks(examples: tuple[Example, ...]) -> list[tuple[float, int]]:
    return [(example.activation, example.position) for example in examples]


def test_every_firing_is_an_example_strongest_first(index: ActivationIndex, truth: SyntheticIndex) -> None:
    page = index.examples(synthetic.TWICE, count=1000, one_per_document=False)
    assert peaks(page.items) == truth.strongest(synthetic.TWICE)
    assert page.total == 2 * synthetic.DOCUMENTS
    assert [example.rank for example in page.items] == list(range(1, page.total + 1))


def test_one_document_is_one_example_unless_asked_otherwise(index: ActivationIndex, truth: SyntheticIndex) -> None:
    page = index.examples(synthetic.TWICE, count=1000)
    assert page.total == synthetic.DOCUMENTS
    assert len({example.document for example in page.items}) == synthetic.DOCUMENTS
    assert peaks(page.items) == truth.strongest(synthetic.TWICE)[: synthetic.DOCUMENTS]  # " meet" beats " we"


def test_equal_activations_come_in_the_order_of_the_text(index: ActivationIndex, truth: SyntheticIndex) -> None:
    page = index.examples(synthetic.NEWLINE, count=1000)
    assert peaks(page.items) == truth.strongest(synthetic.NEWLINE)


def test_pages_follow_each_other_without_gap_or_repeat(index: ActivationIndex) -> None:
    whole = index.examples(synthetic.WEEKDAY, count=1000).items
    rank: int | None = 1
    found: list[Example] = []
    while rank is not None:
        page = index.examples(synthetic.WEEKDAY, rank=rank, count=7)
        found.extend(page.items)
        rank = page.next_rank
    assert found == list(whole)


def test_a_rank_beyond_the_last_is_an_empty_last_page(index: ActivationIndex) -> None:
    page = index.examples(synthetic.WEEKDAY, rank=synthetic.DOCUMENTS + 1)
    assert page.items == ()
    assert page.next_rank is None


def test_a_dead_feature_has_no_examples(index: ActivationIndex) -> None:
    assert index.examples(synthetic.DEAD).total == 0


def test_context_tokens_carry_the_activations_of_the_feature_itself(
    index: ActivationIndex, truth: SyntheticIndex
) -> None:
    for feature in (synthetic.TWICE, synthetic.ALWAYS_ON):
        for example in index.examples(feature, count=20).items:
            for token in example.tokens:
                assert token.activation == truth.activations[feature].get(token.position, 0.0)
                assert token.text == truth.tokens[token.position][3]


def test_context_stays_in_the_document_and_in_the_window(index: ActivationIndex, truth: SyntheticIndex) -> None:
    for example in index.examples(synthetic.WEEKDAY, count=1000, context=Context(500, 500)).items:
        _, window, document, _ = truth.tokens[example.position]
        expected = [
            place
            for place, its_window, its_document, _ in truth.tokens
            if (its_window, its_document) == (window, document)
        ]
        assert [token.position for token in example.tokens] == expected


def test_context_is_as_wide_as_asked(index: ActivationIndex) -> None:
    example = index.examples(synthetic.ONCE, context=Context(before=1, after=2)).items[0]
    assert [token.text for token in example.tokens][:2] == ["Dear", " Clara"]
    assert len(example.tokens) <= 4


def test_best_examples_of_a_range_are_the_examples_of_each_feature(index: ActivationIndex) -> None:
    best = index.best_examples(0, synthetic.FEATURES - 1, count=3)
    assert set(best) == set(range(synthetic.FEATURES)) - {synthetic.DEAD}
    for feature, page in best.items():
        alone = index.examples(feature, count=3)
        assert peaks(page.items) == peaks(alone.items)
        assert page.total == alone.total


def test_the_kind_of_a_document_is_told_where_it_is_known(index: ActivationIndex) -> None:
    kinds = {example.document % 2: example.kind for example in index.examples(synthetic.NEWLINE, count=10).items}
    assert kinds == {0: None, 1: "letter"}


def test_the_most_frequent_features_are_chosen_and_listed_by_index(index: ActivationIndex) -> None:
    everything = index.most_frequent(0)
    assert [feature for feature, _ in everything] == list(range(synthetic.FEATURES))
    assert [feature for feature, _ in index.most_frequent(2)] == [synthetic.ALWAYS_ON, synthetic.TWICE]


def test_summaries_are_read_for_the_features_asked_for(index: ActivationIndex) -> None:
    rows = index.summaries([synthetic.DEAD, synthetic.WEEKDAY])
    assert [row["index"] for row in rows] == [synthetic.WEEKDAY, synthetic.DEAD]
    assert rows[0]["concept"]["name"] == "weekday"
    assert rows[1]["firings"] == 0


def test_missing_and_damaged_files_are_one_sentence_without_a_path(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    with pytest.raises(IndexUnavailable, match=r"^The activation index .* harvest it again") as missing:
        ActivationIndex(folder).examples(0)
    synthetic.write_index(folder)
    folder.activations.write_bytes(folder.activations.read_bytes()[:200])
    with pytest.raises(IndexUnavailable) as damaged:
        ActivationIndex(folder).examples(0)
    folder.vocabulary.unlink()
    assert str(tmp_path) not in f"{missing.value}{damaged.value}"
