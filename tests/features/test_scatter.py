"""Density against strongest activation: cells that count every feature once and lead to it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from features.models import Feature
from features.services.gallery import GalleryFilter, features_of
from features.services.gallery.scatter import scatter_of
from tests.features import synthetic_index as synthetic


def address(experiment: Experiment) -> str:
    return reverse("features:scatter", args=[experiment.pk])


def test_every_live_feature_is_in_one_cell_and_the_dead_are_told(experiment: Experiment) -> None:
    found = scatter_of(experiment.pk, GalleryFilter())
    assert found is not None
    dead = Feature.objects.filter(firings=0).count()
    assert dead == found.dead >= 1
    assert sum(cell.count for cell in found.cells) == found.live == synthetic.FEATURES - dead
    assert {cell.level for cell in found.cells} <= set(range(1, 8))


def test_a_cell_leads_to_the_features_that_it_counts(page_client: Client, experiment: Experiment) -> None:
    html = page_client.get(address(experiment), {"view": "table", "cursor": "x"}).content.decode()
    cells = re.findall(r'features/\?([^"]+)"><title>(\d+) feature', html)
    assert len(cells) > 5
    for query, count in cells:
        state = {name: values[0] for name, values in parse_qs(query.replace("&amp;", "&")).items()}
        assert state.pop("view") == "table"
        assert features_of(experiment.pk, GalleryFilter(**state)).count() == int(count)  # type: ignore[arg-type]


def test_axes_are_labelled_with_units_and_decades(page_client: Client, experiment: Experiment) -> None:
    html = page_client.get(address(experiment)).content.decode()
    for words in (
        "density (share of tokens), logarithmic",
        "strongest activation, logarithmic",
        ">1 %<",
        ">1<",
        ">10<",
    ):
        assert words in html, words


def test_it_follows_the_filter(experiment: Experiment) -> None:
    one = scatter_of(experiment.pk, GalleryFilter(concept="weekday"))
    assert one is not None
    assert [cell.count for cell in one.cells] == [1]
    assert scatter_of(experiment.pk, GalleryFilter(dead=True)) is None


def test_without_a_live_feature_and_with_a_wrong_filter_it_says_so(page_client: Client, experiment: Experiment) -> None:
    assert "nothing to draw" in page_client.get(address(experiment), {"dead": "true"}).content.decode()
    refused = page_client.get(address(experiment), {"density__gt": "0"})
    assert refused.status_code == 422
    assert 'role="alert"' in refused.content.decode()


def test_htmx_gets_the_drawing_alone(page_client: Client, experiment: Experiment) -> None:
    html = page_client.get(address(experiment), headers={"HX-Request": "true"}).content.decode()
    assert html.startswith('<section class="panel scatter"')
