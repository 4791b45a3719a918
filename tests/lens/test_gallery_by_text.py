"""Which features fire on a typed text: read by the lens, shown by the gallery."""

from __future__ import annotations

import re
import uuid

from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from lens.models import Analysis
from tests.lens.conftest import make_experiment, make_feature, read_now
from tests.lens.fake_lens import FakeLens


def by_text(experiment: Experiment) -> str:
    return reverse("lens:features-of-text", args=[experiment.pk])


def shown(html: str) -> list[int]:
    return [int(index) for index in re.findall(r'id="feature-(\d+)"', html)]


def gallery(experiment: Experiment) -> str:
    return reverse("features:gallery", args=[experiment.pk])


def test_a_typed_text_leads_to_its_strongest_features(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    make_feature(experiment, 7)
    make_feature(experiment, 9)
    answer = page_client.post(by_text(experiment), {"text": "Lily sang"}, follow=True)
    analysis = Analysis.objects.get()
    assert answer.redirect_chain == [(f"{gallery(experiment)}?analysis={analysis.pk}", 302)]
    html = answer.content.decode()
    assert shown(html) == [3, 7]
    assert "Fire on “Lily sang”" in html
    assert "activation 11.0" in html


def test_it_narrows_as_any_filter_does_also_in_the_api(
    fake_lens: FakeLens, experiment: Experiment, page_client: Client, api_client: Client
) -> None:
    make_feature(experiment, 7)
    analysis = read_now(experiment, "Lily sang")
    state = {"analysis": str(analysis.pk), "labelled": "true", "view": "table"}
    assert shown(page_client.get(gallery(experiment), state).content.decode()) == [3]
    items = api_client.get("/api/features", {"experiment": experiment.pk, "analysis": str(analysis.pk)}).json()["items"]
    assert [(item["index"], item["closeness"]) for item in items] == [(3, 11.0), (7, 2.0)]


def test_a_text_that_waits_is_shown_where_it_is_waited_for(
    sent: list[str], experiment: Experiment, page_client: Client
) -> None:
    answer = page_client.post(by_text(experiment), {"text": "Lily sang"})
    analysis = Analysis.objects.get()
    assert answer.headers["Location"] == analysis.get_absolute_url()
    html = page_client.get(gallery(experiment), {"analysis": str(analysis.pk)}).content.decode()
    assert "still being read" in html


def test_what_cannot_be_used_is_a_sentence(fake_lens: FakeLens, experiment: Experiment, page_client: Client) -> None:
    other = make_experiment(name="another")
    elsewhere = read_now(other, "Lily")
    too_long = read_now(experiment, "word " * 30)
    for analysis, words in (
        (uuid.uuid4(), "no such analysis"),
        (elsewhere.pk, "another experiment"),
        (too_long.pk, "could not be read"),
    ):
        response = page_client.get(gallery(experiment), {"analysis": str(analysis)})
        assert response.status_code == 422
        assert words in response.content.decode()
    for text in ("", "  ", "x\x00", "x" * 100_001):
        response = page_client.post(by_text(experiment), {"text": text}, follow=True)
        assert response.redirect_chain == [(gallery(experiment), 302)]
        assert 'class="notice notice--bad"' in response.content.decode()
    assert Analysis.objects.count() == 2


def test_a_text_for_an_experiment_that_is_not_there_is_not_found(db: None, page_client: Client) -> None:
    assert page_client.post(reverse("lens:features-of-text", args=[999_999]), {"text": "x"}).status_code == 404
    assert page_client.get(reverse("lens:features-of-text", args=[1])).status_code == 405
