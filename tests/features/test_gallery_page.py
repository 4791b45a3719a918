"""The gallery: what it shows, how it is narrowed, and what it says when there is nothing to show."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from features import views
from features.models import Feature
from features.services.labels import Author, LabelDraft, add_label
from tests.features import synthetic_index as synthetic
from tests.features.conftest import new_experiment

HTMX = {"HX-Request": "true"}


def address(experiment: Experiment) -> str:
    return reverse("features:gallery", args=[experiment.pk])


def html_of(client: Client, experiment: Experiment, headers: dict[str, str] | None = None, **state: object) -> str:
    response = client.get(address(experiment), state, headers=headers or {})
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def cards(html: str) -> list[int]:
    return [int(index) for index in re.findall(r'id="feature-(\d+)"', html)]


def test_a_card_shows_label_tags_tokens_density_and_heat(
    page_client: Client, experiment: Experiment, weekday: Feature
) -> None:
    add_label(weekday.pk, LabelDraft.of("days of the week", tags=["dates"]), Author())
    html = html_of(page_client, experiment, token="monday")
    assert cards(html) == [synthetic.WEEKDAY]
    for shown in ("days of the week", "dates", "·Monday", "6.67 %", "max 12.0", "Day of the week", "heat-7"):
        assert shown in html, shown


def test_most_frequent_features_come_first_and_the_count_is_told(page_client: Client, experiment: Experiment) -> None:
    html = html_of(page_client, experiment)
    assert cards(html)[:2] == [synthetic.ALWAYS_ON, synthetic.TWICE]
    assert len(cards(html)) == views.FEATURES_SHOWN["cards"]
    assert f"{synthetic.FEATURES} features" in html


def test_following_the_links_shows_every_feature_once_without_javascript(
    page_client: Client, experiment: Experiment
) -> None:
    found: list[int] = []
    query: str | None = "?ordering=index"
    while query is not None:
        html = page_client.get(address(experiment) + query).content.decode()
        assert "<!doctype html>" in html
        found += cards(html)
        more = re.search(r'class="button" href="(\?[^"]*cursor=[^"]*)"', html)
        query = more[1].replace("&amp;", "&") if more else None
    assert found == list(range(synthetic.FEATURES))


def test_htmx_gets_the_results_or_just_more_cards(page_client: Client, experiment: Experiment) -> None:
    results = html_of(page_client, experiment, HTMX, ordering="index")
    assert "<!doctype" not in results
    assert results.count('id="gallery-results"') == 1
    cursor = re.search(r"cursor=([\w=-]+)", results)
    assert cursor
    more = html_of(page_client, experiment, HTMX, ordering="index", cursor=cursor[1])
    assert "gallery-results" not in more
    assert cards(more) == list(range(views.FEATURES_SHOWN["cards"], synthetic.FEATURES))
    assert "cursor=" not in more


def test_a_page_restored_from_history_is_a_whole_page(page_client: Client, experiment: Experiment) -> None:
    html = html_of(page_client, experiment, HTMX | {"HX-History-Restore-Request": "true"})
    assert "<!doctype html>" in html


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"min_density": "10 %"}, [synthetic.ALWAYS_ON, synthetic.TWICE]),
        ({"min_density": "0.1"}, [synthetic.ALWAYS_ON, synthetic.TWICE]),
        ({"max_density": "0 %"}, [synthetic.DEAD]),
        ({"token": "<SCRIPT>alert(1)</script>", "max_density": "10%"}, [synthetic.MARKUP]),
        ({"concept": "weekday"}, [synthetic.WEEKDAY]),
        ({"labelled": "true"}, [synthetic.WEEKDAY]),
        ({"labelled": "true", "min_density": "50%"}, []),
    ],
)
def test_the_address_is_the_state_of_the_filter(
    page_client: Client, experiment: Experiment, weekday: Feature, state: dict[str, str], expected: list[int]
) -> None:
    add_label(weekday.pk, LabelDraft("x"), Author())
    html = html_of(page_client, experiment, **state)
    assert cards(html) == expected
    for value in state.values():
        assert f'value="{value}"'.replace("<", "&lt;").replace(">", "&gt;") in html


def test_nothing_found_says_what_to_do(page_client: Client, experiment: Experiment) -> None:
    html = html_of(page_client, experiment, token="nowhere")
    assert "No feature passes this filter" in html
    assert f'href="{address(experiment)}"' in html


@pytest.mark.parametrize(
    "state",
    [
        {"min_density": "nan"},
        {"min_density": "-1 %"},
        {"max_density": "101 %"},
        {"max_density": "1e999"},
        {"min_density": "20 %", "max_density": "10 %"},
        {"min_max_activation": "many"},
        {"min_score": "150 %"},
        {"density__gte": "0.1"},
        {"experiment__name": "x"},
        {"<script>alert(1)</script>": "x"},
        {"ordering": "-closeness"},
        {"ordering": "card__tokens"},
        {"view": "sql"},
        {"like": "-1"},
        {"like": "999"},
        {"cofiring": "1' OR 1=1"},
        {"like": "1", "cofiring": "2"},
        {"analysis": "not-a-number"},
        {"words": "x" * 300},
        {"ordering": "experiment__name"},
        {"concept": "weekday' OR 1=1"},
        {"labelled": "perhaps"},
        {"token": "x\x00"},
        {"token": "x" * 300},
        {"cursor": "<b>"},
    ],
)
def test_an_unusable_state_is_a_sentence_and_keeps_what_was_typed(
    page_client: Client, experiment: Experiment, state: dict[str, str]
) -> None:
    response = page_client.get(address(experiment), state)
    assert response.status_code == 422
    html = response.content.decode()
    assert 'role="alert"' in html
    assert cards(html) == []
    assert "<script>alert" not in html


def test_markup_is_text_everywhere(page_client: Client, experiment: Experiment) -> None:
    nasty = "<script>alert(2)</script>"
    Experiment.objects.filter(pk=experiment.pk).update(name=nasty)
    markup = Feature.objects.get(index=synthetic.MARKUP)
    add_label(markup.pk, LabelDraft.of(nasty, nasty, [nasty]), Author())
    html = html_of(page_client, experiment, token="<script>alert(1)</script>")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_gallery_takes_at_most_eight_queries(
    page_client: Client, experiment: Experiment, django_assert_max_num_queries: Any
) -> None:
    for feature in Feature.objects.all():
        add_label(feature.pk, LabelDraft.of("x", tags=["one", "two"]), Author())
    with django_assert_max_num_queries(8):
        html_of(page_client, experiment, labelled="true", token="noon")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("queued", "Not yet"),
        ("running", "Not yet"),
        ("paused", "is paused"),
        ("failed", "has failed"),
        ("cancelled", "been cancelled"),
    ],
)
def test_an_experiment_without_features_says_why(page_client: Client, status: str, words: str) -> None:
    unfinished = new_experiment(status, error="The corpus <b>is</b> too short.")
    html = html_of(page_client, unfinished)
    assert words in html
    assert f'href="{unfinished.get_absolute_url()}"' in html
    assert "<b>is</b>" not in html


def test_an_empty_catalogue_says_so(page_client: Client, db: None) -> None:
    assert "catalogue of this experiment is empty" in html_of(page_client, new_experiment())


def test_the_navigation_leads_to_the_newest_finished_experiment(page_client: Client, experiment: Experiment) -> None:
    newest = new_experiment(name="newest")
    new_experiment("running")
    assert page_client.get(reverse("features:newest")).headers["Location"] == address(newest)


def test_the_navigation_says_so_when_nothing_has_finished(page_client: Client) -> None:
    assert "No experiment has finished yet" in page_client.get(reverse("features:newest")).content.decode()


def test_jumping_to_an_index(page_client: Client, weekday: Feature) -> None:
    jump = reverse("features:jump", args=[weekday.experiment_id])
    assert page_client.get(jump, {"index": "0"}).headers["Location"] == weekday.get_absolute_url()
    for index in ("40", "-1", "x", "", "1" * 30):
        response = page_client.get(jump, {"index": index}, follow=True)
        assert "There is no feature with this index" in response.content.decode(), index


def test_what_does_not_exist_is_not_found(page_client: Client) -> None:
    for experiment_id in (999_999, 10**30):
        assert page_client.get(f"/experiments/{experiment_id}/features/").status_code == 404


def test_visitors_are_asked_to_sign_in(client: Client, experiment: Experiment) -> None:
    assert client.get(address(experiment)).status_code == 302
