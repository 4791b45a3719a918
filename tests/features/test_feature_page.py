"""The feature page: its evidence, its examples and its labels, with and without htmx."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import Feature, Label
from features.services.labels import Author, LabelDraft, add_label, edit_label, withdraw_label
from tests.features import synthetic_index as synthetic

HTMX = {"HX-Request": "true"}


def feature_at(index: int) -> Feature:
    return Feature.objects.get(index=index)


def html_of(client: Client, feature: Feature, **state: object) -> str:
    response = client.get(feature.get_absolute_url(), state)
    assert response.status_code == 200
    return response.content.decode()


def address(name: str, feature: Feature, *more: int) -> str:
    return reverse(f"features:{name}", args=[feature.experiment_id, feature.index, *more])


def ranks(html: str) -> list[int]:
    return [int(rank) for rank in re.findall(r"; rank (\d+),", html)]


def test_the_facts_say_what_they_were_counted_on(page_client: Client, weekday: Feature) -> None:
    html = html_of(page_client, weekday)
    for shown in ("6.67 %", "of 900 tokens", "5.2", "in 60 documents", "12.0", "1.00 / 0.95", "Day of the week"):
        assert shown in html, shown
    assert "silent (0) on 840 of 900 tokens" in html


def test_the_evidence_is_there(page_client: Client, weekday: Feature) -> None:
    neighbour = feature_at(1)
    add_label(neighbour.pk, LabelDraft("line ends"), Author())
    html = html_of(page_client, weekday)
    assert "+1.50" in html  # promoted
    assert "-2.50" in html  # suppressed
    assert "line ends" in html  # nearest
    assert html.count("<rect x=") == 4 + 2  # histograms of activations and of logits
    assert "Nearest by encoder direction" in html
    assert re.search(r">17</td>.*>-0.75</td>.*37.5 %", html)  # the largest component of the encoder row
    assert "·Monday" in html


def test_an_older_index_shows_what_it_has(page_client: Client, weekday: Feature, api_client: Client) -> None:
    for name in ("logit_histogram", "nearest_by_encoder", "inputs"):
        del weekday.summary[name]
    weekday.save()
    html = html_of(page_client, weekday)
    assert "+1.50" in html
    assert "Nearest by encoder direction" not in html
    assert "What it reads" not in html
    assert api_client.get(f"/api/features/{weekday.pk}").json()["summary"]["logit_histogram"] is None


def test_examples_show_heat_and_what_each_token_is(page_client: Client, weekday: Feature) -> None:
    html = html_of(page_client, weekday)
    assert ranks(html) == list(range(1, 11))
    assert (
        '<span class="token heat-7" tabindex="0" data-tip="“·Monday”  activation 12.0  position 6"> Monday</span>'
        in html
    )
    assert "↵" in html


def test_more_examples_follow_with_and_without_htmx(page_client: Client, weekday: Feature) -> None:
    href = re.search(r'href="(\?rank=11)"', html_of(page_client, weekday))
    assert href
    assert ranks(html_of(page_client, weekday, rank=11)) == list(range(11, 21))
    more = page_client.get(address("examples", weekday), {"rank": 51}, headers=HTMX).content.decode()
    assert ranks(more) == list(range(51, 61))
    assert "More examples" not in more
    assert page_client.get(address("examples", weekday) + "?rank=11").headers["Location"].endswith("/0/?rank=11")


def test_every_firing_is_shown_when_asked(page_client: Client, experiment: Experiment) -> None:
    twice = feature_at(synthetic.TWICE)
    assert "of 60 documents" in html_of(page_client, twice)
    html = html_of(page_client, twice, show="firings")
    assert "of 120 firings" in html
    assert "?rank=11&amp;show=firings" in html or "?rank=11&show=firings" in html


def test_a_dead_feature_says_that_it_is_dead(page_client: Client, experiment: Experiment) -> None:
    html = html_of(page_client, feature_at(synthetic.DEAD))
    assert "It is dead" in html
    assert "histogram" not in html.split("Activations where it fires")[1].split("</section>")[0]


def test_neighbours_in_the_catalogue_are_linked_across_gaps(page_client: Client, experiment: Experiment) -> None:
    Feature.objects.filter(index__in=[4, 6]).delete()
    html = html_of(page_client, feature_at(5))
    assert f'rel="prev" href="{address("detail", feature_at(3))}"' in html
    assert f'rel="next" href="{address("detail", feature_at(7))}"' in html
    assert "not in the catalogue" in html  # 6 is among the nearest


@pytest.mark.parametrize("rank", ["0", "-1", "x", "1" * 40])
def test_an_unusable_rank_is_a_sentence(page_client: Client, weekday: Feature, rank: str) -> None:
    assert "must be a whole number" in html_of(page_client, weekday, rank=rank)


def test_ranks_beyond_the_last_lead_back(page_client: Client, weekday: Feature) -> None:
    assert "There are no more examples" in html_of(page_client, weekday, rank=61)


def test_without_its_index_the_page_still_shows_the_rest(page_client: Client, weekday: Feature, data_dir: Any) -> None:
    experiment_folder(weekday.experiment_id).tokens.unlink()
    html = html_of(page_client, weekday)
    assert "activation index of this experiment is missing or damaged" in html
    assert str(data_dir) not in html
    assert "+1.50" in html


def test_the_page_takes_at_most_eight_queries(
    page_client: Client, weekday: Feature, django_assert_max_num_queries: Any
) -> None:
    for index in range(5):
        for _ in range(4):
            add_label(feature_at(index).pk, LabelDraft.of("x", tags=["one", "two"]), Author())
    with django_assert_max_num_queries(8):
        html_of(page_client, weekday)


def test_markup_is_text_everywhere(page_client: Client, experiment: Experiment) -> None:
    nasty = "<script>alert(2)</script>"
    markup = feature_at(synthetic.MARKUP)
    add_label(markup.pk, LabelDraft.of(nasty, nasty, [nasty]), Author())
    html = html_of(page_client, markup)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(2)") >= 4
    assert html.count("&lt;script&gt;alert(1)") >= 3


def test_a_label_is_added_by_a_plain_form(page_client: Client, owner: User, weekday: Feature) -> None:
    content = {"text": "days", "tags": "Dates, time ,", "confidence": "0.8", "note": "first\nsecond"}
    response = page_client.post(address("add-label", weekday), content)
    assert response.headers["Location"] == weekday.get_absolute_url()
    label = Label.objects.get()
    assert (label.text, label.note, label.confidence, label.user) == ("days", "first\nsecond", 0.8, owner)
    assert [tag.name for tag in label.tags.all()] == ["dates", "time"]
    html = html_of(page_client, weekday)
    assert re.search(r"<h1>.*days.*</h1>", html)


def test_with_htmx_labels_and_title_change_in_place(page_client: Client, weekday: Feature) -> None:
    response = page_client.post(address("add-label", weekday), {"text": "days"}, headers=HTMX)
    html = response.content.decode()
    assert response.status_code == 200
    assert "<!doctype" not in html
    assert html.count('id="feature-labels"') == 1
    assert re.search(r'id="feature-title" hx-swap-oob="true">\s*<h1>.*days', html)


def test_a_label_is_edited_and_withdrawn(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft.of("days", "why", ["dates"], 0.25), Author())
    html = html_of(page_client, weekday)
    for value in ('value="days"', 'value="dates"', 'value="0.25"', "why"):
        assert value in html
    page_client.post(address("edit-label", weekday, label.pk), {"text": "weekdays"})
    label.refresh_from_db()
    assert (label.text, label.note, label.confidence) == ("weekdays", "", None)
    html = page_client.post(address("withdraw-label", weekday, label.pk), headers=HTMX).content.decode()
    assert "Nobody has said yet" in html
    assert "unlabelled" in html


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_refused_label_keeps_what_was_typed(page_client: Client, weekday: Feature, headers: dict[str, str]) -> None:
    typed = {"text": " ", "tags": "one", "note": "a <b>long</b> story", "confidence": "0.5"}
    response = page_client.post(address("add-label", weekday), typed, headers=headers)
    assert response.status_code == 422
    html = response.content.decode()
    assert "Text is empty" in html
    assert "a &lt;b&gt;long&lt;/b&gt; story" in html
    assert 'id="new-label" open' in html
    assert ("<!doctype html>" in html) is not bool(headers)
    assert not Label.objects.exists()


def test_a_refused_edit_opens_its_own_form(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    response = page_client.post(address("edit-label", weekday, label.pk), {"text": "x", "confidence": "2"})
    assert response.status_code == 422
    html = response.content.decode()
    assert "confidence must be a number from 0 to 1" in html
    assert 'class="label-edit" open' in html
    assert f'id="label-{label.pk}-confidence"' in html


def test_editing_what_somebody_withdrew_keeps_the_text_for_a_new_label(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    withdraw_label(weekday.pk, label.pk, Author())
    response = page_client.post(address("edit-label", weekday, label.pk), {"text": "my long thought"})
    assert response.status_code == 422
    html = response.content.decode()
    assert "was withdrawn" in html
    assert 'value="my long thought"' in html


def test_withdrawing_twice_shows_what_is_left(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    for _ in range(2):
        response = page_client.post(address("withdraw-label", weekday, label.pk), follow=True)
        assert "Nobody has said yet" in response.content.decode()


def test_labels_are_changed_by_post_alone_and_with_a_csrf_token(owner: User, weekday: Feature) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.get(address("add-label", weekday)).status_code == 405
    assert strict.post(address("add-label", weekday), {"text": "x"}).status_code == 403
    assert not Label.objects.exists()


def test_what_does_not_exist_is_not_found(page_client: Client, weekday: Feature) -> None:
    for index in (synthetic.FEATURES, 10**30):
        base = f"/experiments/{weekday.experiment_id}/features/{index}/"
        assert page_client.get(base).status_code == 404
        assert page_client.get(f"{base}examples/", headers=HTMX).status_code == 404
        assert page_client.post(f"{base}labels/", {"text": "x"}).status_code == 404


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_stale_edit_shows_the_other_s_text_and_keeps_one_s_own(
    page_client: Client, weekday: Feature, headers: dict[str, str]
) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    typed = {"text": "my own words", "version": label.version}
    edit_label(weekday.pk, label.pk, LabelDraft("their words"), Author.machine("import"))
    response = page_client.post(address("edit-label", weekday, label.pk), typed, headers=headers)
    html = response.content.decode()
    assert response.status_code == 422
    assert "import changed this label to “their words”" in html
    assert 'value="my own words"' in html
    assert 'name="version" value="2"' in html
    label.refresh_from_db()
    assert label.text == "their words"
    page_client.post(address("edit-label", weekday, label.pk), typed | {"version": "2"}, headers=headers)
    label.refresh_from_db()
    assert label.text == "my own words"


def test_a_withdrawn_label_is_restored_and_its_history_is_read(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    other = add_label(weekday.pk, LabelDraft("dates"), Author())
    page_client.post(address("withdraw-label", weekday, label.pk))
    assert "1 withdrawn" in html_of(page_client, weekday)
    page_client.post(address("restore-label", weekday, label.pk))
    assert "withdrawn" not in html_of(page_client, weekday)
    page_client.post(address("choose-label", weekday, label.pk))
    assert re.search(r"<h1>.*days", html_of(page_client, weekday))
    history = address("label-history", weekday, label.pk)
    for headers in ({}, HTMX):
        html = page_client.get(history, headers=headers).content.decode()
        assert html.index("chosen as current") < html.index("restored") < html.index("withdrawn") < html.index("added")
    assert page_client.get(address("label-history", feature_at(1), other.pk)).status_code == 404
