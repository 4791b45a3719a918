"""The parts of the feature page that are read from the index: as pages, by htmx and by API."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import DetectionTest, Feature
from features.services.labels import Author, LabelDraft, add_label, edit_label
from tests.features import synthetic_index as synthetic
from tests.features.synthetic_index import SyntheticIndex

HTMX = {"HX-Request": "true"}
PARTS = ("strata", "near-misses", "co-firing", "window")


def feature_at(index: int) -> Feature:
    return Feature.objects.get(index=index)


def part(client: Client, feature: Feature, name: str, *, status: int = 200, htmx: bool = False, **state: object) -> str:
    address = reverse(f"features:{name}", args=[feature.experiment_id, feature.index])
    response = client.get(address, state, headers=HTMX if htmx else {})
    assert response.status_code == status
    return response.content.decode()


def told(client: Client, feature: Feature, name: str, **state: object) -> Any:
    response = client.get(f"/api/features/{feature.pk}/{name}", state)
    assert response.status_code == 200, response.content
    return response.json()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_a_page_without_javascript_and_a_section_with_htmx(
    page_client: Client, weekday: Feature, name: str
) -> None:
    detail = page_client.get(weekday.get_absolute_url()).content.decode()
    assert f'href="{reverse(f"features:{name}", args=[weekday.experiment_id, weekday.index])}"' in detail
    whole, section = part(page_client, weekday, name), part(page_client, weekday, name, htmx=True)
    assert "<!doctype html>" in whole
    assert section.strip().startswith(f'<section class="panel" id="{name}">')
    assert section.strip() in whole


def test_strata_show_strong_and_weak_firings_alike(page_client: Client, api_client: Client, weekday: Feature) -> None:
    found = told(api_client, weekday, "strata", seed=3)
    assert [stratum["firings"] for stratum in found["items"]] == [12] * 5
    assert found["items"][0]["high"] == 12.0
    shown = part(page_client, weekday, "strata", seed=3)
    ranks = [int(rank) for rank in re.findall(r"; rank (\d+),", shown)]
    assert ranks == [example["rank"] for stratum in found["items"] for example in stratum["examples"]]
    assert "?seed=4" in shown
    assert ranks != [int(rank) for rank in re.findall(r"; rank (\d+),", part(page_client, weekday, "strata", seed=4))]


def test_near_misses_are_silent_tokens_of_the_feature(
    page_client: Client, api_client: Client, experiment: Experiment, truth: SyntheticIndex
) -> None:
    once = feature_at(synthetic.ONCE)
    misses = told(api_client, once, "near-misses", count=3)["items"]
    assert [miss["token"] for miss in misses] == [" Clara"] * 3
    assert all(miss["position"] not in truth.activations[synthetic.ONCE] for miss in misses)
    assert "token--selected" in part(page_client, once, "near-misses")
    assert "fires wherever one of its tokens stands" in part(page_client, feature_at(synthetic.WEEKDAY), "near-misses")


def test_features_that_fire_together_come_with_their_labels(
    page_client: Client, api_client: Client, experiment: Experiment, truth: SyntheticIndex
) -> None:
    add_label(feature_at(21).pk, LabelDraft("noon, late"), Author())
    found = told(api_client, feature_at(20), "co-firing", count=2)
    own, other = set(truth.activations[20]), set(truth.activations[21])
    row = next(row for row in found["items"] if row["index"] == 21)
    assert (row["both"], row["label"]) == (len(own & other), "noon, late")
    assert row["jaccard"] == pytest.approx(len(own & other) / len(own | other))
    assert "noon, late" in part(page_client, feature_at(20), "co-firing")
    assert 'within=2" aria-current="true"' in part(page_client, feature_at(20), "co-firing", within=2)


def test_tokens_and_places_are_counted(api_client: Client, weekday: Feature) -> None:
    tokens = told(api_client, weekday, "tokens", count=2)["items"]
    assert [(token["firings"], token["share"], token["recall"]) for token in tokens] == [
        (20, pytest.approx(1 / 3), 1)
    ] * 2
    places = told(api_client, weekday, "window")["items"]
    assert (sum(place["firings"] for place in places), sum(place["tokens"] for place in places)) == (60, 900)


def test_the_document_around_an_example_opens_in_place_and_as_a_page(
    page_client: Client, api_client: Client, weekday: Feature
) -> None:
    detail = page_client.get(weekday.get_absolute_url()).content.decode()
    assert re.search(r'href="[^"]*/document/\?position=6#here"[^>]*>document 0</a>', detail)
    whole = part(page_client, weekday, "document", position=6)
    assert re.search(r'heat-7 token--selected" id="here"[^>]*> Monday</span>', whole)
    assert 'id="here"' not in part(page_client, weekday, "document", position=6, htmx=True)
    passage = told(api_client, weekday, "document", position=6)
    assert [token["text"] for token in passage["tokens"]] == synthetic.document(0)
    assert (passage["is_start"], passage["is_end"]) == (True, True)


@pytest.mark.parametrize(
    ("name", "state", "status"),
    [
        ("strata", {"seed": "-1"}, 422),
        ("near-misses", {"seed": "x"}, 422),
        ("co-firing", {"within": "65"}, 422),
        ("document", {"position": ""}, 422),
        ("document", {"position": "9" * 30}, 422),
        ("document", {"position": "100000"}, 404),
    ],
)
def test_numbers_out_of_range_are_one_sentence(
    page_client: Client, api_client: Client, weekday: Feature, name: str, state: dict[str, str], status: int
) -> None:
    sentence = "There is no document at this position" if status == 404 else "must be a whole number from 0 to"
    assert sentence in part(page_client, weekday, name, status=status, **state)
    assert sentence in part(page_client, weekday, name, htmx=True, **state)
    assert api_client.get(f"/api/features/{weekday.pk}/{name}", state).status_code == status


@pytest.mark.parametrize("name", PARTS)
def test_without_its_index_a_part_says_so_and_offers_another_harvest(
    page_client: Client, api_client: Client, weekday: Feature, name: str, data_dir: Any
) -> None:
    activations = experiment_folder(weekday.experiment_id).activations
    activations.write_bytes(activations.read_bytes()[:100])  # as if half of it had been written
    html = part(page_client, weekday, name, status=409)
    assert "missing or damaged" in html
    assert reverse("experiments:harvest", args=[weekday.experiment_id]) in html
    assert str(data_dir) not in html
    assert api_client.get(f"/api/features/{weekday.pk}/{name}").status_code == 409


@pytest.mark.parametrize("name", PARTS)
def test_a_dead_feature_has_nothing_to_show_and_says_so(page_client: Client, experiment: Experiment, name: str) -> None:
    assert 'class="muted"' in part(page_client, feature_at(synthetic.DEAD), name, htmx=True)


def test_markup_of_the_text_is_text_in_every_part(page_client: Client, experiment: Experiment) -> None:
    markup = feature_at(synthetic.MARKUP)
    add_label(feature_at(synthetic.ALWAYS_ON).pk, LabelDraft("<script>alert(2)</script>"), Author())
    shown = [part(page_client, markup, name) for name in PARTS] + [part(page_client, markup, "document", position=118)]
    assert all("<script>alert" not in html for html in shown)
    assert "&lt;script&gt;alert(1)" in shown[0]
    assert "&lt;script&gt;alert(2)" in shown[2]


def test_the_newest_test_of_the_current_label_stands_beside_it(page_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("days"), Author())
    assert "not tested" in page_client.get(weekday.get_absolute_url()).content.decode()
    counts = {"true_positives": 7, "false_negatives": 1, "true_negatives": 6, "false_positives": 2}
    DetectionTest.objects.create(label=label, label_version=1, balanced_accuracy=0.81, low=0.6, high=0.93, **counts)
    html = page_client.get(weekday.get_absolute_url()).content.decode()
    assert "detection 0.81 (0.60 – 0.93) · 7 of 8 firing, 6 of 8 silent</span>" in html
    edit_label(weekday.pk, label.pk, LabelDraft("days of the week"), Author())
    assert "before its last change" in page_client.get(weekday.get_absolute_url()).content.decode()


def test_the_evidence_is_downloaded_as_json(page_client: Client, api_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("days", tags=["dates"]), Author())
    address = reverse("features:evidence", args=[weekday.experiment_id, weekday.index])
    response = page_client.get(address)
    assert response.headers["Content-Disposition"].startswith("attachment")
    record = json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]
    assert (record["firings"], len(record["examples"]), len(record["strata"])) == (60, 20, 5)
    assert record["labels"][0]["tags"] == ["dates"]
    assert {token["text"] for token in record["tokens"]} == set(synthetic.WEEKDAYS)
    by_api = api_client.get(f"/api/features/{weekday.pk}/evidence", {"format": "json"})
    assert json.loads(b"".join(by_api.streaming_content)) == record  # type: ignore[attr-defined]


def test_the_csv_has_no_formulas(api_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft('=HYPERLINK("x")'), Author())
    response = api_client.get(f"/api/features/{weekday.pk}/evidence", {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))  # type: ignore[attr-defined]
    (label,) = (row for row in rows if row["part"] == "label")
    assert label["text"] == '\'=HYPERLINK("x")'
    examples = [row for row in rows if row["part"] == "example"]
    assert (len(examples), examples[0]["value"], examples[0]["position"]) == (20, "12.0", "6")
    assert [row["value"] for row in rows if row["part"] == "suppressed"] == ["-2.5"]
    assert {"stratum 5", "token", "nearest by encoder", "co-firing"} <= {row["part"] for row in rows}


def test_what_cannot_be_downloaded_is_a_sentence(page_client: Client, api_client: Client, weekday: Feature) -> None:
    assert "must be one of json, csv" in part(page_client, weekday, "evidence", status=422, format="exe")
    experiment_folder(weekday.experiment_id).tokens.unlink()
    assert "missing or damaged" in part(page_client, weekday, "evidence", status=409, format="csv")
    assert api_client.get(f"/api/features/{weekday.pk}/evidence").status_code == 409
