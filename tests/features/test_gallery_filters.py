"""What the gallery is narrowed and ordered by, asked through the service that page, API and exports call."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features import views
from features.gallery_forms import ORDERING_NAMES
from features.models import Feature, Label
from features.services.gallery import (
    CONCEPTS_FOUND,
    ORDERINGS,
    PRESETS,
    GalleryFilter,
    features_of,
    gallery_page,
    orderings,
)
from features.services.labels import Author, LabelDraft, add_label, withdraw_label
from latentlens.lib.problems import Conflict, Refused
from tests.features import synthetic_index as synthetic


def indices(experiment: Experiment, **wanted: Any) -> list[int]:
    return sorted(features_of(experiment.pk, GalleryFilter(**wanted)).values_list("index", flat=True))


def in_order(experiment: Experiment, ordering: str, limit: int = 7, **wanted: Any) -> list[int]:
    """Every feature that passes, page by page."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = gallery_page(
            experiment.pk, GalleryFilter(**wanted), ordering, limit=limit, cursor=cursor, count=False
        ).page
        found += [feature.index for feature in page.items]
        if page.next is None:
            return found
        cursor = page.next


def label(index: int, text: str = "x", author: Author | None = None, **content: Any) -> Label:
    feature = Feature.objects.get(index=index)
    score = content.pop("score", None)
    return add_label(feature.pk, LabelDraft.of(text, **content), author or Author(), score=score)


MACHINE = Author.machine("token statistics")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"dead": True}, [synthetic.DEAD]),
        ({"min_max_activation": 5, "max_max_activation": 6, "max_density": 0.01}, [synthetic.MARKUP]),
        ({"min_mean_activation": 5, "min_density": 0.06, "max_density": 0.07}, [synthetic.WEEKDAY]),
        ({"min_concept_f1": 0.5}, [synthetic.WEEKDAY]),
        ({"min_token_share": 0.1, "max_token_share": 0.4}, [synthetic.WEEKDAY, synthetic.ALWAYS_ON]),
        ({"token": " MONDAY ", "max_density": 0.5}, [synthetic.WEEKDAY]),
        ({"token": "mon"}, []),
        ({"token": "%"}, []),
        ({"like": synthetic.WEEKDAY}, [1, 2]),
    ],
)
def test_numbers_and_tokens_narrow_it(experiment: Experiment, wanted: dict[str, Any], expected: list[int]) -> None:
    assert indices(experiment, **wanted) == expected


def test_a_promoted_token_is_found_whatever_it_holds(experiment: Experiment) -> None:
    assert synthetic.WEEKDAY in indices(experiment, promoted=synthetic.SCRIPT)
    assert indices(experiment, promoted="nowhere") == []


def test_facts_of_the_current_label_narrow_it(experiment: Experiment, owner: User) -> None:
    label(1, "Line ends", Author.person(owner), tags=["Layout"], confidence=0.9)
    label(2, "weekdays", MACHINE, confidence=0.4, score=0.7)
    assert indices(experiment, labelled="true") == [1, 2]
    assert len(indices(experiment, labelled="false")) == synthetic.FEATURES - 2
    assert indices(experiment, labelled="person") == [1]
    assert indices(experiment, labelled="machine") == [2]
    assert indices(experiment, method="person") == [1]
    assert indices(experiment, method="token statistics") == [2]
    assert indices(experiment, author=owner.get_username().upper()) == [1]
    assert indices(experiment, label="line E") == [1]
    assert indices(experiment, tag=" LAYOUT ") == [1]
    assert indices(experiment, min_confidence=0.5) == [1]
    assert indices(experiment, max_score=0.8) == [2]
    assert indices(experiment, min_score=0.8) == []


def test_labels_are_in_the_order_of_their_text(experiment: Experiment) -> None:
    for index, text in ((3, "Noon"), (8, "apples"), (5, "zebras"), (9, "noon tide"), (6, "apples")):
        label(index, text)
    assert in_order(experiment, "label")[:5] == [6, 8, 3, 9, 5]
    assert in_order(experiment, "-label")[:5] == [5, 9, 3, 8, 6]
    for name in ("label", "-label"):
        assert in_order(experiment, name, limit=1) == in_order(experiment, name, limit=200)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="small tables have another plan on Postgres")
@pytest.mark.parametrize("name", ["confidence", "-confidence", "score", "-score", "label", "-label"])
def test_features_in_the_order_of_their_labels_come_from_an_index(experiment: Experiment, name: str) -> None:
    features = Feature.objects.filter(GalleryFilter().conditions(experiment.pk))
    for rows, ordering in orderings.in_order(features, experiment.pk, name):
        plan = rows.order_by(*ordering.signed)[:30].explain()
        assert "TEMP B-TREE" not in plan
        assert "current_label_by_" in plan


def test_of_two_orderings_each_refuses_the_cursor_of_what_the_other_lacks(experiment: Experiment) -> None:
    pages = [
        gallery_page(experiment.pk, GalleryFilter(), name, limit=3, cursor=None, count=False).page
        for name in ("confidence", "score")
    ]
    assert pages[0].items == pages[1].items
    with pytest.raises(Refused, match="cursor does not belong"):
        gallery_page(experiment.pk, GalleryFilter(), "score", limit=3, cursor=pages[0].next, count=False)


def test_no_label_comes_after_what_has_none(experiment: Experiment) -> None:
    label(3, "\U0010ffff")
    assert in_order(experiment, "label")[0] == in_order(experiment, "-label")[0] == 3


@pytest.mark.parametrize("text", ["1\0", "1\ud800"])
def test_a_cursor_with_text_that_no_database_takes_is_refused(experiment: Experiment, text: str) -> None:
    parts = json.dumps(["label_key", False, text, 1]).encode()
    cursor = base64.urlsafe_b64encode(parts).decode()
    with pytest.raises(Refused, match="cursor does not belong"):
        gallery_page(experiment.pk, GalleryFilter(), "label", limit=3, cursor=cursor, count=False)


def test_what_is_missing_comes_last_whichever_way_it_goes(experiment: Experiment) -> None:
    for index, confidence in ((3, 0.2), (8, 1.0), (5, None), (9, 0.6)):
        label(index, confidence=confidence)
    assert in_order(experiment, "-confidence")[:3] == [8, 9, 3]
    assert in_order(experiment, "confidence")[:3] == [3, 9, 8]
    for name in ("-confidence", "confidence", "-score", "concept_f1", "-concept_f1", "label", "-label"):
        assert sorted(in_order(experiment, name)) == list(range(synthetic.FEATURES))
    assert in_order(experiment, "concept_f1")[0] == in_order(experiment, "-concept_f1")[0] == synthetic.WEEKDAY


def test_near_and_co_firing_features_come_closest_first(experiment: Experiment) -> None:
    near = gallery_page(experiment.pk, GalleryFilter(like=0), None, limit=50, cursor=None, count=True)
    assert [(feature.index, feature.closeness) for feature in near.page.items] == [(1, 0.8), (2, 0.7)]  # type: ignore[attr-defined]
    assert (near.ordering, near.total) == ("-closeness", 2)
    together = in_order(experiment, "-closeness", cofiring=synthetic.MARKUP)
    assert together == [synthetic.ALWAYS_ON]
    assert in_order(experiment, "-closeness", limit=1, like=0) == [1, 2]
    assert in_order(experiment, "index", cofiring=20)[0] == synthetic.ALWAYS_ON


def test_without_its_index_co_firing_is_a_conflict(experiment: Experiment) -> None:
    experiment_folder(experiment.pk).activations.unlink()
    with pytest.raises(Conflict):
        indices(experiment, cofiring=0)


def test_a_cursor_with_another_sort_of_value_is_refused(experiment: Experiment) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(["confidence_key", True, "x", 1]).encode()).decode()
    with pytest.raises(Refused):
        gallery_page(experiment.pk, GalleryFilter(), "-confidence", limit=5, cursor=cursor, count=False)


def test_every_ordering_has_its_words() -> None:
    assert list(ORDERING_NAMES) == list(ORDERINGS)


@pytest.mark.parametrize("preset", [*PRESETS, CONCEPTS_FOUND], ids=lambda preset: preset.name)
def test_a_preset_is_an_address_that_works(page_client: Client, experiment: Experiment, preset: Any) -> None:
    address = reverse("features:gallery", args=[experiment.pk])
    assert f'href="?{preset.query}"'.replace("&", "&amp;") in page_client.get(address).content.decode()
    assert page_client.get(f"{address}?{preset.query}").status_code == 200


def test_the_presets_find_what_they_say(experiment: Experiment) -> None:
    assert indices(experiment, dead=True) == [synthetic.DEAD]
    assert synthetic.ALWAYS_ON in indices(experiment, min_density=0.1)
    assert synthetic.ONCE in indices(experiment, min_token_share=0.9, dead=False)
    assert synthetic.WEEKDAY not in indices(experiment, min_token_share=0.9, dead=False)


def test_the_table_shows_the_same_features_with_headers_that_order(page_client: Client, experiment: Experiment) -> None:
    label(synthetic.WEEKDAY, "days", tags=["dates"], confidence=0.75)
    address = reverse("features:gallery", args=[experiment.pk])
    html = page_client.get(
        address, {"view": "table", "token": "monday", "ordering": "-max_activation"}
    ).content.decode()
    assert (
        re.findall(r'<tr id="feature-(\d+)"', html)
        == [str(synthetic.WEEKDAY), str(synthetic.ALWAYS_ON)][: html.count("<tr id")]
    )
    for shown in ("days", "dates", "0.75", 'aria-sort="descending"', "ordering=max_activation", "ordering=-density"):
        assert shown in html, shown
    assert "view=table&amp;token=monday" in html


def test_rows_of_the_table_are_paged_without_javascript(
    page_client: Client, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(views.FEATURES_SHOWN, "table", 15)
    address = reverse("features:gallery", args=[experiment.pk])
    found: list[int] = []
    query: str | None = "?view=table&ordering=index"
    while query:
        html = page_client.get(address + query).content.decode()
        found += map(int, re.findall(r'<tr id="feature-(\d+)"', html))
        more = re.search(r'class="button" href="(\?[^"]*cursor=[^"]*)"', html)
        query = more[1].replace("&amp;", "&") if more else None
    assert found == list(range(synthetic.FEATURES))


@pytest.mark.parametrize("view", ["cards", "table"])
def test_the_queries_do_not_grow_with_the_features(
    page_client: Client, experiment: Experiment, view: str, django_assert_max_num_queries: Any
) -> None:
    for feature in Feature.objects.all():
        add_label(feature.pk, LabelDraft.of("noon time", tags=["one", "two"], confidence=0.5), Author())
    address = reverse("features:gallery", args=[experiment.pk])
    state = {"view": view, "words": "noon tim", "labelled": "person", "ordering": "-confidence", "tag": "one"}
    with django_assert_max_num_queries(8):
        assert page_client.get(address, state).status_code == 200


@pytest.mark.parametrize("parameters", [{"density__gt": 0}, {"oops": 1}, {"like": 1, "cofiring": 2}, {"like": 10**12}])
@pytest.mark.parametrize("address", ["/api/features", "/api/labels/export"])
def test_the_api_refuses_what_the_page_refuses(
    api_client: Client, experiment: Experiment, address: str, parameters: dict[str, Any]
) -> None:
    response = api_client.get(address, {"experiment": experiment.pk, **parameters})
    assert response.status_code == 422
    assert response.json()["error"]["message"].endswith((".", "1000000000000", "2147483648"))


def test_list_and_export_take_the_same_filter(api_client: Client, experiment: Experiment) -> None:
    label(synthetic.WEEKDAY, "days of the week")
    found = api_client.get("/api/features", {"experiment": experiment.pk, "words": "wee"}).json()["items"]
    assert [item["index"] for item in found] == [synthetic.WEEKDAY]
    exported = api_client.get(
        "/api/labels/export", {"experiment": experiment.pk, "words": "wee", "contents": "features"}
    )
    assert b"".join(exported.streaming_content).count(b"\n") == 1  # type: ignore[attr-defined]


def test_withdrawn_labels_no_longer_narrow_it(experiment: Experiment) -> None:
    written = label(4, "nothing at all")
    assert indices(experiment, words="nothing") == [4]
    withdraw_label(written.feature_id, written.pk, Author())
    assert indices(experiment, words="nothing") == []
    assert indices(experiment, labelled="true") == []
