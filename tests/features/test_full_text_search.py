"""Words are found in labels, notes and top tokens, and what people type is never the syntax of a database."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.models import Experiment
from features.models import Feature, FeatureWords
from features.search_words import words_of
from features.services.catalogue import import_catalogue
from features.services.labels import Author, LabelDraft, add_label, edit_label, undo_last
from features.services.labels.bulk import NewLabel, add_labels
from features.services.search import having_token, holding_words
from tests.features import synthetic_index as synthetic


def found(text: str) -> list[int]:
    return sorted(Feature.objects.filter(holding_words(text)).values_list("index", flat=True))


def test_every_word_must_be_there_and_the_last_may_be_begun(weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("Jours de la semaine", "Lundi à dimanche; cafés"), Author())
    for text in ("semaine", "sem", "jours SEMAINE", "lundi", "a dim", "café", "CAFE", "jours monday", "jours frid"):
        assert found(text) == [synthetic.WEEKDAY], text
    for text in ("jour semaine", "emaine", "jours lune", "semaine x"):
        assert found(text) == [], text


@pytest.mark.parametrize(
    "text",
    [
        '"', "'", "*", "semaine OR x", "semaine NOT x", "NEAR(semaine x)", "labels: x", "-", "semaine & !x", ":*",
        "semaine | x", "\\", "(", "{tokens} : x", "x'); DROP TABLE features_feature; --", "%", "_", "\u0301", "∀",
    ],
)  # fmt: skip
def test_what_people_type_is_words_and_nothing_else(weekday: Feature, text: str) -> None:
    add_label(weekday.pk, LabelDraft.of("semaine"), Author())
    assert found(text) == []
    assert Feature.objects.exists()


def test_a_word_that_stands_for_a_token_is_not_found_as_a_word(experiment: Experiment) -> None:
    assert FeatureWords.objects.exclude(exact_tokens="").exists()
    assert found("t6d6f") == []


@pytest.mark.parametrize("token", ["Monday", " monday ", "MONDAY"])
def test_a_token_is_found_exactly(experiment: Experiment, token: str) -> None:
    assert synthetic.WEEKDAY in Feature.objects.filter(having_token("top", token)).values_list("index", flat=True)
    assert not Feature.objects.filter(having_token("top", token.strip()[:3])).exists()


def test_a_token_without_a_letter_is_found_too(experiment: Experiment) -> None:
    newline = Feature.objects.filter(having_token("top", "\n"), density__lt=0.5).values_list("index", flat=True)
    assert list(newline) == [synthetic.NEWLINE]


def test_every_writer_of_labels_keeps_it_up_to_date(weekday: Feature, owner: Any) -> None:
    author = Author.person(owner)
    label = add_label(weekday.pk, LabelDraft.of("first"), author)
    assert found("first") == [synthetic.WEEKDAY]
    edit_label(weekday.pk, label.pk, LabelDraft.of("second", "note"), author)
    assert (found("first"), found("second"), found("note")) == ([], [synthetic.WEEKDAY], [synthetic.WEEKDAY])
    undo_last(weekday.experiment_id, author)
    assert (found("first"), found("second")) == ([synthetic.WEEKDAY], [])
    add_labels([NewLabel(weekday.pk, LabelDraft.of("bulky"))], Author.machine("m"))
    assert found("bulk") == found("first") == [synthetic.WEEKDAY]


def test_importing_again_keeps_what_is_said(experiment: Experiment, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("kept"), Author())
    import_catalogue(experiment.pk)
    assert found("kept monday") == [synthetic.WEEKDAY]
    assert FeatureWords.objects.count() == synthetic.FEATURES


def test_what_is_deleted_is_found_no_more(experiment: Experiment, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("gone"), Author())
    experiment.delete()
    assert found("gone") == []
    assert not FeatureWords.objects.exists()


def test_words_are_letters_and_digits_folded() -> None:
    assert words_of("Café-au-lait, 3D_x ＡＢ Straße") == ["cafe", "au", "lait", "3d", "x", "ab", "strasse"]
