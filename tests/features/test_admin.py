"""Labelling in the admin: found, with the evidence in view, under the same rules as everywhere."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from features.models import Feature, Label, Tag
from features.services.labels import Author, LabelDraft, add_label
from tests.features import synthetic_index as synthetic

FEATURES = "admin:features_feature_changelist"
LABELS = "admin:features_label_changelist"


def rows(client: Client, name: str, **query: str) -> list[int]:
    """The primary keys in the list, as the admin's own change list has them."""
    response = client.get(reverse(name), query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def label_form(feature: Feature, **fields: str) -> dict[str, str]:
    """What the browser posts for a feature with one new label."""
    management = {"labels-TOTAL_FORMS": "1", "labels-INITIAL_FORMS": "0", "labels-0-feature": str(feature.pk)}
    return management | {f"labels-0-{name}": value for name, value in fields.items()}


def change(feature: Feature) -> str:
    return reverse("admin:features_feature_change", args=[feature.pk])


def test_features_are_found_by_index_label_tag_and_token(page_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("days of the week", tags=["dates"]), Author())
    for words in ("days", "dates", "monday"):
        assert rows(page_client, FEATURES, q=words) == [weekday.pk], words
    markup = Feature.objects.get(index=synthetic.MARKUP)
    assert markup.pk in rows(page_client, FEATURES, q="2")


def test_features_are_filtered_by_whether_they_have_a_label(page_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft("days"), Author())
    assert rows(page_client, FEATURES, labelled="yes") == [weekday.pk]
    assert weekday.pk not in rows(page_client, FEATURES, labelled="no")
    assert rows(page_client, FEATURES, concept="weekday") == [weekday.pk]
    without = rows(page_client, FEATURES, concept="no concept")
    assert without == list(Feature.objects.filter(concept="").values_list("pk", flat=True))
    assert 'href="?concept=no+concept"' in page_client.get(reverse(FEATURES)).content.decode()


def test_a_feature_is_labelled_with_its_evidence_in_view(page_client: Client, owner: User, weekday: Feature) -> None:
    old = add_label(weekday.pk, LabelDraft("days"), Author())
    html = page_client.get(change(weekday)).content.decode()
    assert "heat-7" in html
    assert "Monday" in html
    posted = label_form(weekday, text="  days of\tthe week ", confidence="0.5", tags=" Dates, of the  week")
    posted |= {"labels-TOTAL_FORMS": "2", "labels-INITIAL_FORMS": "1"}
    posted |= {name.replace("labels-0", "labels-1"): value for name, value in posted.items() if "labels-0" in name}
    posted |= {"labels-0-id": str(old.pk), "labels-0-text": "old words", "labels-0-confidence": ""}
    del posted["labels-0-tags"]
    response = page_client.post(change(weekday), posted)
    assert response.status_code == 302, response.content.decode()
    new = Label.objects.exclude(pk=old.pk).get()
    assert (new.text, new.user, new.is_current) == ("days of the week", owner, True)
    assert new.tag_names == ["dates", "of the week"]
    old.refresh_from_db()
    assert (old.text, old.is_current) == ("old words", False)


@pytest.mark.parametrize(
    "fields", [{"text": "x", "confidence": "2"}, {"text": " "}, {"text": "nul\x00"}, {"tags": "x" * 51}]
)
def test_the_admin_keeps_the_rules_of_a_label(page_client: Client, weekday: Feature, fields: dict[str, str]) -> None:
    response = page_client.post(
        change(weekday), label_form(weekday, **{"text": "x", "confidence": "", "note": "n"} | fields)
    )
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert not Label.objects.exists()


def test_evidence_in_the_admin_is_text(page_client: Client, experiment: object) -> None:
    markup = Feature.objects.get(index=synthetic.MARKUP)
    add_label(markup.pk, LabelDraft("<script>alert(2)</script>"), Author())
    for address in (change(markup), reverse(FEATURES), reverse(LABELS)):
        assert "<script>alert" not in page_client.get(address).content.decode()


def test_labels_are_edited_in_the_list_and_withdrawn_not_deleted(page_client: Client, weekday: Feature) -> None:
    first, second = (
        add_label(weekday.pk, LabelDraft("one"), Author()),
        add_label(weekday.pk, LabelDraft("two"), Author()),
    )
    page_client.post(
        reverse(LABELS),
        {
            "form-TOTAL_FORMS": "2",
            "form-INITIAL_FORMS": "2",
            "form-0-id": str(second.pk),
            "form-0-text": "second",
            "form-0-confidence": "0.5",
            "form-1-id": str(first.pk),
            "form-1-text": "first",
            "form-1-confidence": "",
            "_save": "Save",
        },
    )
    assert set(Label.objects.values_list("text", "confidence")) == {("second", 0.5), ("first", None)}
    page_client.post(reverse(LABELS), {"action": "withdraw", "_selected_action": [str(second.pk)]})
    first.refresh_from_db()
    assert first.is_current
    assert Label.objects.get(pk=second.pk).withdrawn_at is not None
    delete = reverse("admin:features_label_delete", args=[first.pk])
    assert page_client.post(delete, {"post": "yes"}).status_code == 403


def test_tags_are_tidied_and_say_how_often_they_are_used(page_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("x", tags=["dates"]), Author())
    page_client.post(reverse("admin:features_tag_add"), {"name": "  Multi   Lingual "})
    assert set(Tag.objects.values_list("name", flat=True)) == {"dates", "multi lingual"}
    response = page_client.get(reverse("admin:features_tag_changelist"))
    assert {tag.name: tag.uses for tag in response.context["cl"].result_list} == {"dates": 1, "multi lingual": 0}
    refused = page_client.post(reverse("admin:features_tag_add"), {"name": "a,b"})
    assert "cannot hold a comma" in refused.content.decode()


def test_features_themselves_are_neither_added_nor_deleted(page_client: Client, weekday: Feature) -> None:
    assert page_client.get(reverse("admin:features_feature_add")).status_code == 403
    assert page_client.get(reverse("admin:features_feature_delete", args=[weekday.pk])).status_code == 403


def act(client: Client, name: str, action: str, chosen: list[int], **fields: str) -> str:
    """Runs an action of a change list, and returns the page that follows."""
    posted = {"action": action, "_selected_action": [str(key) for key in chosen]} | fields
    return client.post(reverse(name), posted, follow=True).content.decode()


def test_labels_are_listed_beside_their_evidence(page_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft("days"), Author.machine("token statistics"), review="pending", score=0.9)
    html = page_client.get(reverse(LABELS), {"review": "pending", "detected": "convincing"}).content.decode()
    assert "heat-7" in html
    assert 'value="days"' in html
    assert rows(page_client, LABELS, detected="guessing") == []
    assert rows(page_client, LABELS, detected="none") == []
    assert len(rows(page_client, LABELS, method="token statistics")) == 1
    assert rows(page_client, LABELS, method="by a person") == []
    assert len(rows(page_client, LABELS, withdrawn="no")) == 1


def test_machine_labels_are_approved_and_rejected_many_at_a_time(page_client: Client, weekday: Feature) -> None:
    machine = add_label(weekday.pk, LabelDraft("days"), Author.machine("token statistics"), review="pending")
    person = add_label(weekday.pk, LabelDraft("weekdays"), Author())
    html = act(page_client, LABELS, "reject", [machine.pk, person.pk])
    assert "1 machine labels are rejected" in html
    assert dict(Label.objects.values_list("text", "review")) == {"days": "rejected", "weekdays": ""}
    act(page_client, LABELS, "approve", [machine.pk])
    machine.refresh_from_db()
    assert machine.review == "approved"


def test_a_tag_is_added_to_many_and_tags_are_merged(page_client: Client, weekday: Feature) -> None:
    first = add_label(weekday.pk, LabelDraft.of("one", tags=["date"]), Author())
    second = add_label(weekday.pk, LabelDraft.of("two", tags=["days"]), Author())
    assert "2 labels were given the tag" in act(page_client, LABELS, "add_tag", [first.pk, second.pk], tag=" Time ")
    assert "cannot hold a comma" in act(page_client, LABELS, "add_tag", [first.pk], tag="a,b")
    merged = list(Tag.objects.filter(name__in=["date", "days"]).values_list("pk", flat=True))
    assert "2 labels have the tag now" in act(
        page_client, "admin:features_tag_changelist", "merge", merged, tag="dates"
    )
    assert set(Tag.objects.values_list("name", flat=True)) == {"dates", "time"}
    assert [revision.tags for revision in first.revisions.order_by("version")] == [
        ["date"],
        ["date", "time"],
        ["dates", "time"],
    ]


def test_labels_are_saved_as_csv_that_no_spreadsheet_runs(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("=1+1"), Author())
    answer = page_client.post(reverse(LABELS), {"action": "as_csv", "_selected_action": [str(label.pk)]})
    assert b"'=1+1" in b"".join(answer.streaming_content)


@pytest.mark.parametrize("name", [FEATURES, LABELS])
def test_lists_take_as_many_queries_for_many_as_for_few(
    page_client: Client, experiment: object, name: str, django_assert_max_num_queries: object
) -> None:
    for feature in Feature.objects.all():
        for text in ("one", "two"):
            add_label(feature.pk, LabelDraft.of(text, tags=["t"]), Author())
    with django_assert_max_num_queries(22):  # type: ignore[operator]
        page_client.get(reverse(name))
