"""Labels: what may be stored, and which one is current."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User

from features.models import Feature, Label, Tag
from features.services.labels import (
    Author,
    LabelDraft,
    StaleLabel,
    add_label,
    choose_label,
    edit_label,
    history_of,
    living_labels,
    restore_label,
    review_label,
    undo_last,
    withdraw_label,
)
from latentlens.lib.problems import Conflict, NotFound, Refused


def add(feature: Feature, text: str, user: User | AnonymousUser | None = None) -> Label:
    return add_label(feature.pk, LabelDraft.of(text), Author.person(user))


def current(feature: Feature) -> list[str]:
    return list(feature.labels.filter(is_current=True).values_list("text", flat=True))


def test_the_newest_label_is_the_current_one(weekday: Feature, owner: User) -> None:
    first = add(weekday, "dates", owner)
    second = add(weekday, "days of the week", owner)
    assert current(weekday) == ["days of the week"]
    assert [label.pk for label in living_labels(weekday.pk)] == [second.pk, first.pk]
    assert second.user == owner


def test_withdrawing_gives_the_turn_to_the_one_before_and_deletes_nothing(weekday: Feature) -> None:
    first, second = add(weekday, "dates"), add(weekday, "days of the week")
    withdraw_label(weekday.pk, second.pk, Author())
    assert current(weekday) == ["dates"]
    withdraw_label(weekday.pk, first.pk, Author())
    assert current(weekday) == []
    assert list(living_labels(weekday.pk)) == []
    assert weekday.labels.count() == 2


def test_withdrawing_an_old_label_leaves_the_current_one(weekday: Feature) -> None:
    first, _ = add(weekday, "dates"), add(weekday, "days of the week")
    withdraw_label(weekday.pk, first.pk, Author())
    assert current(weekday) == ["days of the week"]


def test_editing_changes_content_but_not_which_one_is_current(weekday: Feature) -> None:
    first, _ = add(weekday, "dates"), add(weekday, "days of the week")
    edited = edit_label(weekday.pk, first.pk, LabelDraft.of("calendar", "a note", ["Dates"], 0.5), Author())
    assert (edited.text, edited.note, edited.confidence) == ("calendar", "a note", 0.5)
    assert [tag.name for tag in edited.tags.all()] == ["dates"]
    assert edited.changed_at > edited.created_at
    assert current(weekday) == ["days of the week"]


def test_a_label_of_another_feature_or_a_withdrawn_one_is_not_found(weekday: Feature) -> None:
    other = Feature.objects.exclude(pk=weekday.pk).earliest("index")
    label = add(weekday, "dates")
    with pytest.raises(NotFound):
        withdraw_label(other.pk, label.pk, Author())
    withdraw_label(weekday.pk, label.pk, Author())
    with pytest.raises(NotFound):
        withdraw_label(weekday.pk, label.pk, Author())
    with pytest.raises(NotFound):
        edit_label(weekday.pk, label.pk, LabelDraft("again"), Author())
    with pytest.raises(NotFound):
        add_label(999_999, LabelDraft("nothing there"), Author())


def test_tags_are_tidied_and_shared(weekday: Feature) -> None:
    draft = LabelDraft.of("x", tags=["  Dates ", "dates", "Multi  lingual"])
    assert draft.tags == ("dates", "multi lingual")
    add_label(weekday.pk, draft, Author())
    add_label(weekday.pk, draft, Author())
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
        ("confidence", {"confidence": "certainly"}),
    ],
)
def test_bad_content_is_one_sentence_about_its_field(field: str, content: dict[str, object]) -> None:
    with pytest.raises(Refused) as refusal:
        LabelDraft.of(**{"text": "fine"} | content)  # type: ignore[arg-type]
    assert set(refusal.value.fields) == {field}
    assert len(refusal.value.message) < 200
    assert refusal.value.message.endswith(".")


def test_every_change_is_kept_with_its_author(weekday: Feature, owner: User) -> None:
    label = add(weekday, "dates", owner)
    edit_label(weekday.pk, label.pk, LabelDraft.of("days", tags=["time"]), Author.machine("token statistics"))
    withdraw_label(weekday.pk, label.pk, Author.person(owner))
    restore_label(weekday.pk, label.pk, Author.person(owner))
    history = history_of(weekday.pk, label.pk)
    assert [(row.action, row.text, row.tags, row.who) for row in history] == [
        ("restored", "days", ["time"], "owner"),
        ("withdrawn", "days", ["time"], "owner"),
        ("edited", "days", ["time"], "token statistics"),
        ("added", "dates", [], "owner"),
    ]
    assert current(weekday) == ["days"]
    with pytest.raises(NotFound):
        restore_label(weekday.pk, label.pk, Author())


def test_a_stale_writer_is_told_and_nothing_is_overwritten(weekday: Feature, owner: User) -> None:
    label = add(weekday, "dates", owner)
    edit_label(weekday.pk, label.pk, LabelDraft("days"), Author.person(owner), version=1)
    with pytest.raises(StaleLabel, match="owner changed this label to “days”") as stale:
        edit_label(weekday.pk, label.pk, LabelDraft("weeks"), Author(), version=1)
    assert stale.value.label.version == 2
    with pytest.raises(StaleLabel):
        withdraw_label(weekday.pk, label.pk, Author(), version=1)
    assert current(weekday) == ["days"]


def test_a_machine_never_takes_the_place_of_a_person(weekday: Feature) -> None:
    machine = Author.machine("token statistics")
    add_label(weekday.pk, LabelDraft("the token Monday"), machine)
    assert current(weekday) == ["the token Monday"]
    add_label(weekday.pk, LabelDraft("the tokens Monday, Friday"), machine)
    assert current(weekday) == ["the tokens Monday, Friday"]
    person = add(weekday, "weekdays")
    newest = add_label(weekday.pk, LabelDraft("the token Friday"), machine)
    assert current(weekday) == ["weekdays"]
    choose_label(weekday.pk, newest.pk, Author())
    assert current(weekday) == ["the token Friday"]
    withdraw_label(weekday.pk, newest.pk, Author())
    assert current(weekday) == ["weekdays"]
    withdraw_label(weekday.pk, person.pk, Author())
    assert current(weekday) == ["the tokens Monday, Friday"]


def test_a_rejected_label_is_current_no_more_and_stays_readable(weekday: Feature) -> None:
    machine = Author.machine("token statistics")
    label = add_label(weekday.pk, LabelDraft("nonsense"), machine, review=Label.Review.PENDING)
    review_label(weekday.pk, label.pk, Label.Review.REJECTED, Author())
    assert current(weekday) == []
    assert [row.review for row in living_labels(weekday.pk)] == ["rejected"]
    review_label(weekday.pk, label.pk, Label.Review.APPROVED, Author())
    assert current(weekday) == ["nonsense"]


def test_the_score_of_a_label_ends_with_its_text(weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("dates"), Author(), score=0.9)
    assert edit_label(weekday.pk, label.pk, LabelDraft("dates", "a note"), Author()).score == 0.9
    assert edit_label(weekday.pk, label.pk, LabelDraft("days"), Author()).score is None


def test_undo_takes_back_one_s_own_changes_one_after_the_other(weekday: Feature, owner: User) -> None:
    me, experiment = Author.person(owner), weekday.experiment_id
    label = add(weekday, "dates", owner)
    edit_label(weekday.pk, label.pk, LabelDraft("days", confidence=0.5), me)
    assert undo_last(experiment, me).text == "dates"
    assert undo_last(experiment, me).withdrawn_at is not None
    with pytest.raises(Conflict, match="nothing to undo"):
        undo_last(experiment, me)


def test_undo_leaves_what_somebody_else_changed_since(weekday: Feature, owner: User) -> None:
    label = add(weekday, "dates", owner)
    edit_label(weekday.pk, label.pk, LabelDraft("days"), Author.machine("import"))
    with pytest.raises(Conflict, match="somebody else"):
        undo_last(weekday.experiment_id, Author.person(owner))
    assert current(weekday) == ["days"]


@pytest.mark.parametrize(("word", "number"), [("guess", 0.2), (" Likely ", 0.6), ("sure", 1.0)])
def test_confidence_may_be_said_in_a_word(word: str, number: float) -> None:
    assert LabelDraft.of("x", confidence=word).confidence == number
