"""The list and the page of one experiment, as they come from the server: every state, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments import views
from experiments.curves import MOST_POINTS, metric_points
from experiments.live_page import repeat_url
from experiments.models import Experiment, Metric
from experiments.services import leases
from experiments.services.workers import record_heartbeat
from tests.experiments.conftest import CAPTURED

Make = Callable[..., Experiment]
Status = Experiment.Status
NASTY = "<img src=x onerror=alert(1)>\"'&"


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def measure(experiment: Experiment, count: int = 3) -> None:
    Metric.objects.bulk_create(
        Metric(experiment=experiment, sequence=number, step=number, tokens=number * 4096, values=values(number))
        for number in range(1, count + 1)
    )


def values(number: int) -> dict[str, float | None]:
    return {"loss": 1 / number, "explained_variance": 1 - 1 / number, "l0": 4.0, "dead_share": None}


def test_an_empty_list_says_what_to_do(page_client: Client) -> None:
    text = page(page_client, "/")
    assert "No experiments yet" in text
    assert 'href="/experiments/new/"' in text


def test_the_list_shows_quality_at_a_glance(page_client: Client, finished: Experiment) -> None:
    text = page(page_client, "/experiments/")
    assert "Finished one" in text
    assert "0.934" in text
    assert "3.1 %" in text
    assert "88 %" in text


def test_only_rows_that_change_ask_for_themselves(page_client: Client, make_experiment: Make) -> None:
    live, ended = make_experiment(), make_experiment(Status.CANCELLED)
    text = page(page_client, "/experiments/")
    assert f'hx-get="/experiments/{live.pk}/row/"' in text
    assert f'hx-get="/experiments/{ended.pk}/row/"' not in text
    assert f'id="experiment-row-{live.pk}"' in page(page_client, f"/experiments/{live.pk}/row/")


def test_the_list_is_paged(page_client: Client, make_experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "ROWS", 2)
    for number in range(3):
        make_experiment(name=f"Number {number}")
    first = page(page_client, "/experiments/")
    assert "Number 2" in first
    assert "Number 0" not in first
    found = re.search(r'href="(\?cursor=[^"]+)"', first)
    assert found
    assert "Number 0" in page(page_client, f"/experiments/{found[1]}")
    assert page_client.get("/experiments/?cursor=rubbish").status_code == 302


def test_the_list_costs_the_same_for_any_number_of_rows(
    page_client: Client, make_experiment: Make, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        make_experiment()
    with django_assert_max_num_queries(4):
        page(page_client, "/experiments/")


def test_a_queued_experiment_without_a_worker_says_so(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    text = page(page_client, experiment.get_absolute_url())
    assert "no worker is running" in text
    assert "make dev" in text
    record_heartbeat("w", ["experiments"])
    assert "no worker is running" not in page(page_client, experiment.get_absolute_url())


def test_a_queued_experiment_counts_those_before_it(page_client: Client, make_experiment: Make) -> None:
    record_heartbeat("w", ["experiments"])
    make_experiment()
    assert "Waiting for 1 experiment before it" in page(page_client, make_experiment().get_absolute_url())


def test_a_running_experiment(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "host:12:abc")
    leases.renew(
        experiment.pk, "host:12:abc", stage="training", step=5, steps=10, tokens_per_second=6910.0, seconds_left=110.0
    )
    measure(experiment)
    text = page(page_client, experiment.get_absolute_url())
    assert "50 % of 41.0k tokens" in text
    assert "6,910 tokens/s" in text
    assert "1 min 50 s left" in text
    assert "worker host:12" in text
    assert '<meta http-equiv="refresh" content="5">' in text
    assert text.count("<polyline") == 3  # dead share has no value yet
    assert f'ws-connect="/ws/experiments/{experiment.pk}?format=html"' in text
    states = re.findall(r'data-state="(\w+)"', text)
    assert states == ["done", "now", "later", "later", "later"]


def test_a_finished_experiment(page_client: Client, finished: Experiment) -> None:
    measure(finished)
    text = page(page_client, finished.get_absolute_url())
    for words in (
        "0.934",
        "CE recovered, zero ablation",
        "0.992",
        "0.987",
        "Planted concepts",
        "62 %",
        "88 %",
        "Weekday",
    ):
        assert words in text
    assert f"/experiments/{finished.pk}/features/17/" in text
    assert f"/experiments/{finished.pk}/features/" in text
    assert "1 − E‖x − x̂‖² / (E‖x‖² − ‖E x‖²)" in text
    assert "measured on 100.0k held-out tokens" in text
    assert "ws-connect" not in text
    assert "http-equiv" not in text
    assert finished.weights_sha256 in text


def test_an_encoder_has_no_cross_entropy(page_client: Client, finished: Experiment) -> None:
    finished.quality = {"explained_variance": 0.9, "l0": 4.0, "dead_share": 0.0, "ce_clean": None, "concepts": None}
    finished.save()
    text = page(page_client, finished.get_absolute_url())
    assert "0.900" in text
    assert "CE recovered" not in text
    assert "Planted concepts" not in text


def test_a_failed_experiment_says_why_and_what_to_do(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment(Status.FAILED, error=f"It broke {NASTY}.", stage="harvest", checkpoint="step-1")
    text = page(page_client, experiment.get_absolute_url())
    assert "It broke &lt;img" in text
    assert "goes on from the last checkpoint" in text
    assert f'action="/experiments/{experiment.pk}/resume/"' in text
    assert 'data-state="bad">harvest' in text


def test_a_cancelled_experiment_can_be_repeated(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment(Status.CANCELLED)
    text = page(page_client, experiment.get_absolute_url())
    found = re.search(r'href="(/experiments/new/\?[^"]+)"', text)
    assert found
    form = page(page_client, found[1].replace("&amp;", "&"))
    assert 'value="64"' in form
    assert re.search(r'name="layer" value="1" id="layer-1" checked', form)


def test_html_is_text_everywhere(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment(name=NASTY, progress_note=NASTY)
    experiment.corpus.name = NASTY
    experiment.corpus.save()
    for address in ("/experiments/", experiment.get_absolute_url(), f"/experiments/{experiment.pk}/delete/"):
        text = page(page_client, address)
        assert "<img" not in text
        assert "&lt;img" in text


@pytest.mark.parametrize("suffix", ["", "row/", "delete/"])
def test_there_is_no_such_page(page_client: Client, suffix: str) -> None:
    assert page_client.get(f"/experiments/{10**30}/{suffix}").status_code == 404
    assert page_client.get(f"/experiments/77/{suffix}").status_code == 404


def test_actions_without_javascript(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    address = f"/experiments/{experiment.pk}/"
    for action, status in [("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")]:
        response = page_client.post(f"{address}{action}/")
        assert (response.status_code, response["Location"]) == (302, address)
        experiment.refresh_from_db()
        assert experiment.status == status
    refused = page_client.post(f"{address}cancel/", follow=True)
    assert "is cancelled and cannot be cancelled" in refused.content.decode()
    assert page_client.get(f"{address}cancel/").status_code == 405
    assert page_client.post("/experiments/77/cancel/").status_code == 404


def test_actions_with_htmx_return_the_header(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    text = page_client.post(f"/experiments/{experiment.pk}/cancel/", headers={"HX-Request": "true"}).content.decode()
    assert text.startswith('<div class="page-head" id="experiment-header">')
    assert "cancelled" in text


def test_an_experiment_that_is_asked_to_stop_says_so(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "w")
    page_client.post(f"/experiments/{experiment.pk}/pause/")
    text = page(page_client, experiment.get_absolute_url())
    assert "Pausing: saving a checkpoint" in text
    assert "/pause/" not in text


def test_deleting_asks_first(page_client: Client, finished: Experiment) -> None:
    address = f"/experiments/{finished.pk}/delete/"
    assert "This cannot be undone" in page(page_client, address)
    text = page_client.post(address, follow=True).content.decode()
    assert "was deleted" in text
    assert not Experiment.objects.exists()


def test_a_running_experiment_is_not_deleted(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "w")
    response = page_client.post(f"/experiments/{experiment.pk}/delete/", follow=True)
    assert "cancel it first" in response.content.decode()
    assert Experiment.objects.exists()


def test_a_stranger_is_sent_to_sign_in(client: Client, finished: Experiment) -> None:
    for address in ("/", "/experiments/", "/experiments/new/", finished.get_absolute_url()):
        response = client.get(address)
        assert response.status_code == 302
        assert "sign-in" in response["Location"]


def test_the_page_costs_few_queries(
    page_client: Client, finished: Experiment, django_assert_max_num_queries: Any
) -> None:
    measure(finished, 50)
    with django_assert_max_num_queries(8):
        page(page_client, finished.get_absolute_url())


def test_long_curves_are_thinned_and_end_with_the_newest_point(finished: Experiment) -> None:
    measure(finished, 2 * MOST_POINTS + 11)
    points = metric_points(finished.pk)
    assert len(points) <= MOST_POINTS
    assert len(points) > MOST_POINTS // 2
    assert points[-1]["step"] == 2 * MOST_POINTS + 11


def test_a_worker_that_fell_silent_is_missed(page_client: Client, make_experiment: Make) -> None:
    record_heartbeat("w", ["experiments"])
    make_experiment()
    assert "No worker that runs experiments is alive" not in page(page_client, "/experiments/")
    from experiments.models import Worker

    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    assert "No worker that runs experiments is alive" in page(page_client, "/experiments/")


def test_repeating_reads_the_corpus_in_the_same_way(make_experiment: Make) -> None:
    config = make_experiment().config
    config = config | {"packing": "one_document", "corpus": config["corpus"] | {"deduplicate": True}}
    address = repeat_url(make_experiment(config=config))
    assert {"packing=one_document", "deduplicate=true"} <= set(address.split("&"))


def test_what_was_read_and_left_out_is_shown(page_client: Client, make_experiment: Callable[..., Experiment]) -> None:
    experiment = make_experiment("finished", captured=CAPTURED)
    text = page_client.get(f"/experiments/{experiment.pk}/").content.decode()
    assert "41,200 tokens of 310 documents" in text
    assert "5,100 tokens of 34 documents" in text
    assert "3 outliers of the first segment, 17 duplicates, 5 blank documents, 901 tokens beyond their window" in text
    assert "Across documents" in text
