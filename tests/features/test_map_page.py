"""The map: asked for and made, its page without JavaScript, its message, and what is said when something is missing."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from safetensors.numpy import save_file

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features import map_views
from features.models import Feature, FeatureMap
from features.services import feature_map
from features.services.feature_map.making import make
from features.services.labels import Author, LabelDraft, add_label
from tests.features import synthetic_index as synthetic
from tests.features.conftest import new_experiment

SQUARE = "pca.0.0.2500.0.2500.2500.0.2500"


def html_of(client: Client, experiment: Experiment, status: int = 200, **state: object) -> str:
    response = client.get(reverse("features:map", args=[experiment.pk]), state)
    assert response.status_code == status
    return response.content.decode()


def listed(html: str) -> list[int]:
    return [int(index) for index in re.findall(r'class="number" href="[^"]*">#(\d+)', html)]


def positions_address(experiment: Experiment) -> str:
    return f"/api/maps/{FeatureMap.objects.get(experiment=experiment, method='pca').pk}/positions"


def test_the_first_visit_asks_for_the_map_and_shows_how_far_it_is(page_client: Client, experiment: Experiment) -> None:
    assert "The map is being made" in html_of(page_client, experiment)
    row = FeatureMap.objects.get(experiment=experiment)
    assert (row.method, row.status) == ("pca", "queued")
    html_of(page_client, experiment)
    assert FeatureMap.objects.count() == 1


def test_a_worker_makes_it_and_the_page_shows_it(page_client: Client, experiment: Experiment) -> None:
    decoder = np.random.default_rng(1).normal(size=(synthetic.FEATURES, 5)).astype(np.float32)
    save_file({"decoder": decoder}, experiment_folder(experiment.pk).weights)
    row = feature_map.request_map(experiment, "pca")
    make(row)
    row.refresh_from_db()
    assert row.is_finished
    html = html_of(page_client, experiment)
    assert 'id="map-canvas"' in html
    assert f"{synthetic.FEATURES} features" in html


def test_a_map_that_fails_is_a_sentence_and_can_be_asked_for_again(page_client: Client, experiment: Experiment) -> None:
    make(feature_map.request_map(experiment, "pca"))
    html = html_of(page_client, experiment)
    assert "The weights of this experiment cannot be read" in html
    assert "Make it again" in html
    response = page_client.post(reverse("features:map", args=[experiment.pk]), {"method": "pca"})
    assert response.status_code == 302
    assert FeatureMap.objects.get(experiment=experiment).status == "queued"


def test_a_map_whose_file_is_gone_can_be_made_again(page_client: Client, mapped: Experiment) -> None:
    experiment_folder(mapped.pk).feature_map("pca").unlink()
    html = html_of(page_client, mapped, 422)
    assert "its file is gone" in html
    assert "Make it again" in html


def test_another_method_is_made_only_when_it_is_asked_for(page_client: Client, mapped: Experiment) -> None:
    assert "There is no map by UMAP yet" in html_of(page_client, mapped, method="umap")
    assert not FeatureMap.objects.filter(method="umap").exists()
    page_client.post(reverse("features:map", args=[mapped.pk]), {"method": "umap"})
    assert "The map is being made" in html_of(page_client, mapped, method="umap")


def test_the_table_holds_every_point_once_without_javascript(page_client: Client, mapped: Experiment) -> None:
    for state in ({"ordering": "density"}, {"ordering": "near", "near": "4"}):
        found: list[int] = []
        html = html_of(page_client, mapped, **state)
        while True:
            found += listed(html)
            more = re.search(r'class="button" href="(\?[^"]*cursor=[^"]*)"', html)
            if more is None:
                break
            html = page_client.get(
                reverse("features:map", args=[mapped.pk]) + more[1].replace("&amp;", "&")
            ).content.decode()
        assert sorted(found) == list(range(synthetic.FEATURES))
        assert synthetic.FEATURES > map_views.ROWS


def test_distances_are_those_on_the_map(page_client: Client, mapped: Experiment) -> None:
    assert listed(html_of(page_client, mapped, ordering="near", near=4))[:7] == [4, 3, 5, 2, 6, 1, 7]


def test_a_selection_narrows_the_table_and_leads_to_the_gallery(page_client: Client, mapped: Experiment) -> None:
    html = html_of(page_client, mapped, within=SQUARE, ordering="near", near=1)
    assert listed(html) == [1, 0, 2]
    assert f"{reverse('features:gallery', args=[mapped.pk])}?within={SQUARE}" in html


def test_the_page_takes_few_queries_however_many_labels(
    page_client: Client, mapped: Experiment, django_assert_max_num_queries: Any
) -> None:
    for feature in Feature.objects.all():
        add_label(feature.pk, LabelDraft.of("x", tags=["one", "two"]), Author())
    with django_assert_max_num_queries(9):
        html_of(page_client, mapped, within=SQUARE)


@pytest.mark.parametrize(
    "state",
    [
        {"ordering": "experiment__name"},
        {"ordering": "near"},
        {"near": "-1"},
        {"near": "999999"},
        {"within": "pca.1.2"},
        {"cursor": "<b>"},
        {"cursor": "9-9-9", "near": "1"},
    ],
)
def test_an_unusable_address_is_a_sentence(page_client: Client, mapped: Experiment, state: dict[str, str]) -> None:
    html = html_of(page_client, mapped, 422, **state)
    assert 'role="alert"' in html
    assert "<b>" not in html


def test_a_method_that_there_is_not_leads_back(page_client: Client, mapped: Experiment) -> None:
    response = page_client.get(reverse("features:map", args=[mapped.pk]), {"method": "walk"}, follow=True)
    assert "The method must be one of" in response.content.decode()


def test_a_card_is_for_htmx_and_escapes_what_people_typed(page_client: Client, mapped: Experiment) -> None:
    feature = Feature.objects.get(experiment=mapped, index=synthetic.MARKUP)
    add_label(feature.pk, LabelDraft("<script>alert(1)</script>"), Author())
    address = reverse("features:map-card", args=[mapped.pk, feature.index])
    assert page_client.get(address).url == feature.get_absolute_url()  # type: ignore[attr-defined]
    html = page_client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>" not in html


def test_an_experiment_without_features_has_no_map(page_client: Client, api_client: Client) -> None:
    running = new_experiment("running")
    assert "Not yet" in html_of(page_client, running)
    asked = api_client.post("/api/maps", {"experiment": running.pk}, content_type="application/json")
    assert asked.status_code == 409


def test_the_message_holds_every_point_with_label_tags_and_concept(api_client: Client, mapped: Experiment) -> None:
    weekday = Feature.objects.get(experiment=mapped, index=synthetic.WEEKDAY)
    add_label(weekday.pk, LabelDraft.of("days", tags=["dates"]), Author())
    message = api_client.get(positions_address(mapped)).content
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    columns, offset = {}, 4 + length
    assert offset % 4 == 0
    for column in header["columns"]:
        values = np.frombuffer(message, np.dtype(column["type"]).newbyteorder("<"), header["count"], offset)
        columns[column["name"]], offset = values, offset + values.nbytes
    assert columns["index"].tolist() == list(range(synthetic.FEATURES))
    assert columns["x"].tolist() == [1000 * index for index in range(synthetic.FEATURES)]
    assert columns["label"].tolist() == [int(index == synthetic.WEEKDAY) for index in range(synthetic.FEATURES)]
    assert columns["density"][synthetic.WEEKDAY] == pytest.approx(weekday.density)
    assert (header["tags"], int(columns["tags"][synthetic.WEEKDAY])) == (["dates"], 1)
    assert header["concepts"][columns["concept"][synthetic.WEEKDAY] - 1]["title"] == "Day of the week"
    assert message[offset:].decode() == "days"


def test_the_message_is_sent_again_only_when_something_has_changed(api_client: Client, mapped: Experiment) -> None:
    first = api_client.get(positions_address(mapped))
    known = {"If-None-Match": first["ETag"]}
    assert api_client.get(positions_address(mapped), headers=known).status_code == 304
    add_label(Feature.objects.get(experiment=mapped, index=1).pk, LabelDraft("x"), Author())
    again = api_client.get(positions_address(mapped), headers=known)
    assert again.status_code == 200
    assert again["ETag"] != first["ETag"]


def test_maps_are_asked_for_and_read_by_programs(api_client: Client, mapped: Experiment) -> None:
    wanted = {"experiment": mapped.pk, "method": "tsne"}
    asked = api_client.post("/api/maps", wanted, content_type="application/json")
    assert asked.status_code == 202
    assert api_client.get(f"/api/maps/{asked.json()['id']}").json()["status"] == "queued"
    assert api_client.get(f"/api/maps/{asked.json()['id']}/positions").status_code == 409
    assert {row["method"] for row in api_client.get("/api/maps", {"experiment": mapped.pk}).json()["items"]} == {
        "pca",
        "tsne",
    }
    points = api_client.get(positions_address(mapped), {"format": "json"}).json()
    assert points["x"][:3] == [0, 1000, 2000]
    assert api_client.get("/api/maps/999").status_code == 404
