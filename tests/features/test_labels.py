"""Labels: what may be stored, and which one is current."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User

from features.models import Feature, Label, Tag
from features.services.labels import LabelDraft, add_label, edit_label, living_labels, withdraw_label
from latentlens.lib.problems import NotFound, Refused


def add(feature: Feature, text: str, author: User | AnonymousUser | None = None) -> Label:
    return add_label(feature.pk, LabelDraft.of(text), author)


def current(feature: Feature) -> list[str]:
    return list(feature.labels.filter(is_current=True).values_list("text", flat=True))


def test_the_newest_label_is_the_current_one(weekday: Feature, owner: User) -> None:
    first = add(weekday, "dates", owner)
    second = add(weekday, "days of the week", owner)
    assert current(weekday) == ["days of the week"]
    assert [label.pk for label in living_labels(weekday.pk)] == [second.pk, first.pk]
    assert second.author == owner


def test_withdrawing_gives_the_turn_to_the_one_before_and_deletes_nothing(weekday: Feature) -> None:
    first, second = add(weekday, "dates"), add(weekday, "days of the week")
    withdraw_label(weekday.pk, second.pk)
    assert current(weekday) == ["dates"]
    withdraw_label(weekday.pk, first.pk)
    assert current(weekday) == []
    assert list(living_labels(weekday.pk)) == []
    assert weekday.labels.count() == 2


def test_withdrawing_an_old_label_leaves_the_current_one(weekday: Feature) -> None:
    first, _ = add(weekday, "dates"), add(weekday, "days of the week")
    withdraw_label(weekday.pk, first.pk)
    assert current(weekday) == ["days of the week"]


def test_editing_changes_content_but_not_which_one_is_current(weekday: Feature) -> None:
    first, _ = add(weekday, "dates"), add(weekday, "days of the week")
    edited = edit_label(weekday.pk, first.pk, LabelDraft.of("calendar", "a note", ["Dates"], 0.5))
    assert (edited.text, edited.note, edited.confidence) == ("calendar", "a note", 0.5)
    assert [tag.name for tag in edited.tags.all()] == ["dates"]
    assert edited.changed_at > edited.created_at
    assert current(weekday) == ["days of the week"]


def test_a_label_of_another_feature_or_a_withdrawn_one_is_not_found(weekday: Feature) -> None:
    other = Feature.objects.exclude(pk=weekday.pk).earliest("index")
    label = add(weekday, "dates")
    with pytest.raises(NotFound):
        withdraw_label(other.pk, label.pk)
    withdraw_label(weekday.pk, label.pk)
    with pytest.raises(NotFound):
        withdraw_label(weekday.pk, label.pk)
    with pytest.raises(NotFound):
        edit_label(weekday.pk, label.pk, LabelDraft("again"))
    with pytest.raises(NotFound):
        add_label(999_999, LabelDraft("nothing there"), None)


def test_tags_are_tidied_and_shared(weekday: Feature) -> None:
    draft = LabelDraft.of("x", tags=["  Dates ", "dates", "Multi  lingual"])
    assert draft.tags == ("dates", "multi lingual")
    add_label(weekday.pk, draft, None)
    add_label(weekday.pk, draft, None)
    assert Tag.objects.count() == 2


def test_text_is_one_line_and_a_note_may_be_many() -> None:
    draft = LabelDraft.of("  days\n of  the week ", "first\r\nsecond\n")
    assert draft.text == "days of the week"
    assert draft.note == "first\nsecond"


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("text", {"text": ""}),
        ("text", {"text": " \n\t "}),
        ("text", {"text": "a" * 100_000}),
        ("text", {"text": "nul\x00"}),
        ("text", {"text": "half \ud800"}),
        ("note", {"note": "b" * 100_000}),
        ("note", {"note": "bell \x07"}),
        ("tags", {"tags": ["a,b"]}),
        ("tags", {"tags": [" "]}),
        ("tags", {"tags": ["c" * 51]}),
        ("tags", {"tags": [str(number) for number in range(21)]}),
        ("confidence", {"confidence": 1.5}),
        ("confidence", {"confidence": -0.1}),
        ("confidence", {"confidence": float("nan")}),
        ("confidence", {"confidence": "1e999"}),
        ("confidence", {"confidence": "sure"}),
    ],
)
def test_bad_content_is_one_sentence_about_its_field(field: str, content: dict[str, object]) -> None:
    with pytest.raises(Refused) as refusal:
        LabelDraft.of(**{"text": "fine"} | content)  # type: ignore[arg-type]
    assert set(refusal.value.fields) == {field}
    assert len(refusal.value.message) < 200
    assert refusal.value.message.endswith(".")
