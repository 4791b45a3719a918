"""“Test it” on a feature's page: one feature on a text that somebody typed."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from lens.models import Analysis
from tests.lens.conftest import read_now
from tests.lens.fake_lens import FakeLens

HTMX = {"HX-Request": "true"}


def asked(experiment: Experiment, index: int = 3) -> str:
    return reverse("lens:test-feature", args=[experiment.pk, index])


def test_a_text_is_shown_as_the_feature_sees_it(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    html = page_client.post(asked(experiment), {"text": "Lily sang"}, headers=HTMX).content.decode()
    analysis = Analysis.objects.get()
    assert html.startswith('<div class="stack" id="feature-test"')
    assert "token heat-" in html
    assert f'href="{analysis.get_absolute_url()}?feature=3"' in html
    silent = page_client.post(asked(experiment, 60), {"text": "Lily sang"}, headers=HTMX).content.decode()
    assert "It fires on no token of this text" in silent


def test_without_javascript_the_lens_shows_the_text_in_the_feature_s_colours(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    typed = {"text": "Lily sang", "experiment": experiment.pk, "feature": "3"}
    answer = page_client.post("/lens/", typed, follow=True)
    analysis = Analysis.objects.get()
    assert answer.redirect_chain == [(f"{analysis.get_absolute_url()}?feature=3", 302)]
    assert "Feature #3 names" in answer.content.decode()
    part = reverse("lens:feature-test", args=[analysis.pk, 3])
    assert page_client.get(part).headers["Location"] == f"{analysis.get_absolute_url()}?feature=3"


def test_what_cannot_be_read_is_a_sentence(experiment: Experiment, page_client: Client) -> None:
    for text, sentence in (("", "is empty"), ("x" * 100_001, "100,000 are the most")):
        response = page_client.post(asked(experiment), {"text": text}, headers=HTMX)
        assert response.status_code == 422
        assert sentence in response.content.decode()
    assert not Analysis.objects.exists()


def test_without_a_worker_the_page_says_so_and_looks_again(
    sent: list[str], experiment: Experiment, page_client: Client
) -> None:
    html = page_client.post(asked(experiment), {"text": "Lily sang"}, headers=HTMX).content.decode()
    assert "No lens worker is running" in html
    assert f'hx-get="{reverse("lens:feature-test", args=[Analysis.objects.get().pk, 3])}"' in html


def test_markup_is_text(experiment: Experiment, fake_lens: FakeLens, page_client: Client) -> None:
    analysis = read_now(experiment, "<script>alert(1)</script>")
    html = page_client.get(reverse("lens:feature-test", args=[analysis.pk, 3]), headers=HTMX).content.decode()
    assert "<script>" not in html
    assert "&lt;" in html
