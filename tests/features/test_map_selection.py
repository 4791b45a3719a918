"""What is drawn around on a map narrows lists of features; what cannot be read is one sentence."""

from __future__ import annotations

import re

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import Feature
from features.services.feature_map import Selection, within
from features.services.feature_map.positions import write_positions
from latentlens.lib.problems import Conflict, Refused
from tests.features import synthetic_index as synthetic

SQUARE = "pca.0.0.2500.0.2500.2500.0.2500"


def test_the_even_odd_rule_decides(mapped: Experiment) -> None:
    positions = np.array([[1, 1], [5, 5], [9, 1], [5, 1], [11, 5]], np.uint16)
    notched = Selection.parse("pca.0.0.10.0.10.10.5.3.0.10")
    assert notched.holds(positions).tolist() == [True, False, True, True, False]


def test_every_edge_counts_the_points_beside_it_however_it_runs() -> None:
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(40)), axis=-1).reshape(-1, 2).astype(np.uint16)
    corners = [(3, 2), (30, 7), (22, 20), (35, 38), (12, 25), (2, 33), (9, 15)]
    expected = np.zeros(len(grid), bool)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        for number, (x, y) in enumerate(grid.tolist()):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                expected[number] ^= True
    found = Selection("pca", tuple(corners)).holds(grid)
    assert 0 < expected.sum() < len(grid)
    assert np.array_equal(found, expected)


def test_a_selection_is_a_condition_on_features(mapped: Experiment) -> None:
    found = Feature.objects.filter(within(mapped.pk, SQUARE), experiment=mapped).values_list("index", flat=True)
    assert sorted(found) == [0, 1, 2]


def test_it_narrows_the_gallery_and_the_api(page_client: Client, mapped: Experiment) -> None:
    state = {"within": SQUARE, "ordering": "index"}
    html = page_client.get(reverse("features:gallery", args=[mapped.pk]), state).content.decode()
    assert re.findall(r'id="feature-(\d+)"', html) == ["0", "1", "2"]
    assert f'name="within" value="{SQUARE}"' in html
    listed = page_client.get("/api/features", {"experiment": mapped.pk, **state}).json()
    assert [item["index"] for item in listed["items"]] == [0, 1, 2]


def test_a_large_selection_is_one_parameter(mapped: Experiment) -> None:
    write_positions(experiment_folder(mapped.pk).feature_map("pca"), np.ones((300_000, 2), np.uint16))
    everything = within(mapped.pk, "pca.0.0.9.0.9.9.0.9")
    assert Feature.objects.filter(everything, experiment=mapped).count() == synthetic.FEATURES


@pytest.mark.parametrize(
    "text",
    ["", "pca", "pca.1.2.3.4", "pca.1.2.3.4.5", "walk.0.0.1.0.1.1", "pca.0.0.1.0.1.-1", "pca.0.0.1.0.1.65536",
     "pca.0.0.1.0.1.1e3", "pca." + ".".join(["1"] * 402), "<script>"],
)  # fmt: skip
def test_a_selection_that_cannot_be_read_is_one_sentence(text: str) -> None:
    with pytest.raises(Refused, match="A selection on the map is a method and") as refusal:
        Selection.parse(text)
    assert list(refusal.value.fields) == ["within"]


def test_a_map_that_is_not_there_is_told(page_client: Client, experiment: Experiment) -> None:
    with pytest.raises(Conflict, match="has not been made yet"):
        within(experiment.pk, SQUARE)
    response = page_client.get(reverse("features:gallery", args=[experiment.pk]), {"within": SQUARE})
    assert response.status_code == 422
    assert "has not been made yet" in response.content.decode()
