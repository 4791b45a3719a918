"""The lens page: a road without JavaScript, partials for htmx, and a sentence for every state."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.workers import record_heartbeat
from features.models import Label
from lens import runner
from lens.examples import EXAMPLE_PROMPTS
from lens.models import Analysis
from lens.tasks import prepare_lens
from tests.lens.conftest import make_experiment, make_feature, read_now
from tests.lens.fake_lens import FakeLens

HOME = "/lens/"
HTMX = {"HX-Request": "true"}


def _text(response: Any) -> str:
    return response.content.decode()


def test_a_prompt_is_read_without_javascript(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    answer = page_client.post(HOME, {"text": "Lily sang", "experiment": experiment.pk}, follow=True)
    analysis = Analysis.objects.get()
    assert answer.redirect_chain == [(f"/lens/{analysis.pk}/", 302)]
    page = _text(answer)
    assert 'href="?token=2"' in page
    assert "names" in page
    assert f'href="/experiments/{experiment.pk}/features/3/"' in page
    assert "Lily sang</textarea>" in page
    assert "special token, not read" in page


def test_htmx_gets_the_reading_itself_and_its_address(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    answer = page_client.post(HOME, {"text": "Lily sang", "experiment": experiment.pk}, headers=HTMX)
    analysis = Analysis.objects.get()
    assert answer.headers["HX-Push-Url"] == f"/lens/{analysis.pk}/"
    assert _text(answer).startswith('<div class="stack" id="lens-reading">')
    assert "<html" not in _text(answer)


def test_the_address_chooses_token_and_feature(
    experiment: Experiment, fake_lens: FakeLens, page_client: Client
) -> None:
    analysis = read_now(experiment, "Lily sang")
    page = _text(page_client.get(f"{analysis.get_absolute_url()}?token=2&feature=3"))
    assert re.search(r'class="token token--selected" id="token-2" href="\?token=2&amp;feature=3"', page)
    assert "Feature #3 names" in page
    assert 'href="?token=1&amp;feature=3"' in page


def test_by_htmx_an_address_is_its_partial_and_says_so_to_caches(
    experiment: Experiment, fake_lens: FakeLens, page_client: Client
) -> None:
    address = read_now(experiment, "Lily sang").get_absolute_url()
    partial = page_client.get(f"{address}?colour=error", headers=HTMX)
    assert "<html" not in _text(partial)
    assert "relative error |x − x̂| / |x|" in _text(partial)
    assert "HX-Request" in partial.headers["Vary"]
    restored = page_client.get(address, headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert "<html" in _text(restored)


@pytest.mark.parametrize(("text", "sentence"), [(" \n", "The prompt is empty"), ("x" * 100_001, "100,001 characters")])
def test_a_refused_prompt_is_still_there(experiment: Experiment, page_client: Client, text: str, sentence: str) -> None:
    answer = page_client.post(HOME, {"text": text, "experiment": experiment.pk})
    assert answer.status_code == 422
    assert sentence in _text(answer)
    assert text in _text(answer)
    assert 'aria-invalid="true"' in _text(answer)
    assert not Analysis.objects.exists()


def test_a_refusal_by_htmx_replaces_the_form(experiment: Experiment, page_client: Client) -> None:
    answer = page_client.post(HOME, {"text": "", "experiment": experiment.pk}, headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (422, "#lens-form")
    assert _text(answer).startswith("<form")


def test_an_example_takes_the_place_of_the_text(
    lens_worker: FakeLens, experiment: Experiment, page_client: Client
) -> None:
    page_client.post(HOME, {"text": "ignored", "experiment": experiment.pk, "example": "1"})
    assert Analysis.objects.get().text == EXAMPLE_PROMPTS[1]


@pytest.mark.parametrize("example", ["-1", "99", "x"])
def test_an_example_that_does_not_exist_is_no_error_page(
    experiment: Experiment, page_client: Client, example: str
) -> None:
    answer = page_client.post(HOME, {"text": "", "experiment": experiment.pk, "example": example})
    assert answer.status_code == 422


@pytest.mark.parametrize("chosen", ["", "0", "abc", "99999999999999999999999"])
def test_an_experiment_that_cannot_be_chosen(experiment: Experiment, page_client: Client, chosen: str) -> None:
    answer = page_client.post(HOME, {"text": "Lily", "experiment": chosen})
    assert answer.status_code == 422
    assert "Lily</textarea>" in _text(answer)
    assert "experiment" in _text(answer)


def test_an_unfinished_experiment_is_not_offered(experiment: Experiment, page_client: Client) -> None:
    unfinished = make_experiment("running", name="still running")
    assert "still running" not in _text(page_client.get(HOME))
    answer = page_client.post(HOME, {"text": "Lily", "experiment": unfinished.pk})
    assert answer.status_code == 422


def test_a_link_can_bring_a_prompt_and_an_experiment(experiment: Experiment, page_client: Client) -> None:
    make_experiment(name="newer")
    page = _text(page_client.get(f"{HOME}?experiment={experiment.pk}&text=%3Cb%3E"))
    assert f'value="{experiment.pk}" selected' in page
    assert "&lt;b&gt;</textarea>" in page
    assert page_client.get(f"{HOME}?experiment=9999999999999999999").status_code == 200


def test_before_any_experiment_has_finished(page_client: Client) -> None:
    assert "New experiment" in _text(page_client.get(HOME))
    running = make_experiment("running", name="the first one")
    page = _text(page_client.get(HOME))
    assert "the first one" in page
    assert f'href="{running.get_absolute_url()}"' in page


def test_no_worker_is_said_instead_of_waiting_for_ever(
    experiment: Experiment, page_client: Client, sent: list[str]
) -> None:
    assert "No lens worker is running" in _text(page_client.get(HOME))
    answer = page_client.post(HOME, {"text": "Lily", "experiment": experiment.pk}, follow=True)
    assert "No lens worker is running" in _text(answer)
    assert "refresh" not in _text(answer)


def test_opening_the_page_has_the_model_loaded(
    experiment: Experiment,
    page_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    expected: list[int] = []
    monkeypatch.setattr(prepare_lens, "apply_async", lambda args, **_: expected.append(args[0]))
    with django_capture_on_commit_callbacks(execute=True):
        page_client.get(HOME)
        assert expected == []  # nobody is there to load it
        record_heartbeat("idle", ["lens"])
        page_client.get(f"{HOME}?experiment={experiment.pk}")
    assert expected == [experiment.pk]


def test_a_prompt_that_takes_longer_is_looked_for_again(
    experiment: Experiment, page_client: Client, fake_lens: FakeLens, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_heartbeat("busy", ["lens"])
    monkeypatch.setattr("lens.views.WAIT_SECONDS", 0.0)
    analysis = Analysis.objects.create(experiment=experiment, text="Lily")
    page = _text(page_client.get(analysis.get_absolute_url()))
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert f'hx-get="{analysis.get_absolute_url()}" hx-trigger="load' in page
    runner.read(analysis.pk)
    partial = _text(page_client.get(analysis.get_absolute_url(), headers=HTMX))
    assert "hx-trigger" not in partial
    assert "names" in partial


def test_a_failed_analysis_says_why_and_keeps_the_prompt(
    experiment: Experiment, fake_lens: FakeLens, page_client: Client
) -> None:
    page = _text(page_client.get(read_now(experiment, "word " * 21).get_absolute_url()))
    assert "The prompt has 21 tokens, but the model reads at most 20." in page
    assert "word word" in page


def test_html_is_text_everywhere(fake_lens: FakeLens, page_client: Client, db: None) -> None:
    evil = "<script>alert(1)</script>"
    experiment = make_experiment(name=evil)
    Label.objects.create(feature=make_feature(experiment, 7), experiment=experiment, text=evil)
    analysis = read_now(experiment, f"{evil} \"'><img/src=x>")
    for query in ("", "?feature=7", "?colour=error", "?feature=%3Cscript%3Ealert(1)%3C/script%3E"):
        page = _text(page_client.get(analysis.get_absolute_url() + query))
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_every_line_of_a_prompt_is_a_line(experiment: Experiment, fake_lens: FakeLens, page_client: Client) -> None:
    page = _text(page_client.get(read_now(experiment, "one\ntwo").get_absolute_url()))
    assert "↵two</a><br>" in page


def test_earlier_prompts_of_the_person_are_listed_and_paged(
    experiment: Experiment, page_client: Client, owner: User
) -> None:
    for number in range(10):
        Analysis.objects.create(experiment=experiment, text=f"prompt {number}", author=owner)
    Analysis.objects.create(experiment=experiment, text="of somebody else")
    first = _text(page_client.get(HOME))
    assert "of somebody else" not in first
    assert "prompt 9" in first
    assert "prompt 1" not in first
    older = re.search(r'href="(\?cursor=[^"]+)"', first)
    assert older is not None
    assert "prompt 1" in _text(page_client.get(HOME + older[1]))
    assert page_client.get(f"{HOME}?cursor=nonsense").status_code == 200


def test_an_address_that_leads_nowhere(page_client: Client) -> None:
    missing = reverse("lens:analysis", args=["00000000-0000-0000-0000-000000000000"])
    assert page_client.get(missing).status_code == 404
    assert page_client.get("/lens/7/").status_code == 404


def test_nobody_reads_without_being_signed_in(experiment: Experiment, fake_lens: FakeLens) -> None:
    answer = Client().get(read_now(experiment, "secret plans").get_absolute_url())
    assert answer.status_code == 302
    assert "secret" not in _text(answer)


def test_few_queries_however_long_the_prompt(
    experiment: Experiment, fake_lens: FakeLens, page_client: Client, django_assert_max_num_queries: Any
) -> None:
    for text in ("Lily", "Lily and Tom sang " * 5):
        address = read_now(experiment, text).get_absolute_url()
        with django_assert_max_num_queries(6):
            page_client.get(f"{address}?feature=3")
