"""The pages, the API and the CSV of sweeps, as they come from the server."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Sweep
from experiments.pareto import charts, frontier_of
from experiments.services import experiments, sweeps
from experiments.services.sweeps import SweepRequest, members_of, store_sweep
from tests.experiments.conftest import QUALITY, SMALL

pytestmark = pytest.mark.django_db
Status = Experiment.Status
# L0, explained variance: the third is beaten by the second.
MEASURED = [(2.0, 0.70), (4.0, 0.82), (8.0, 0.81), (16.0, 0.95)]


@pytest.fixture(autouse=True)
def quiet(data_dir: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "enqueue", lambda _: None)
    monkeypatch.setattr(experiments, "enqueue", lambda _: None)


@pytest.fixture
def sweep() -> Sweep:
    """Four experiments, of which all are finished."""
    made = store_sweep(SweepRequest(SMALL | {"name": ""}, {"k": "2, 4, 8, 16"}, "=Ks"), Status.FINISHED)
    for experiment, (l0, variance) in zip(members_of(made), MEASURED, strict=True):
        experiment.quality = QUALITY | {"l0": l0, "explained_variance": variance}
        experiment.save()
    return made


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_frontier_is_what_nothing_beats() -> None:
    assert frontier_of(reversed(MEASURED)) == [MEASURED[0], MEASURED[1], MEASURED[3]]
    assert frontier_of([(4.0, 0.5), (4.0, 0.6)]) == [(4.0, 0.6)]
    assert frontier_of([]) == []


def test_a_chart_places_every_point_and_marks_the_best(sweep: Sweep) -> None:
    variance, recovered = charts(list(members_of(sweep)))
    assert [point.is_best for point in variance.points] == [True, True, False, True]
    across = [point.x for point in variance.points]
    assert across == sorted(across)
    assert across[1] - across[0] == pytest.approx(across[3] - across[2])  # logarithmic
    assert variance.points[0].y > variance.points[3].y  # up is better
    assert [tick.label for tick in variance.x_ticks] == ["2", "5", "10"]
    assert len(variance.y_ticks) >= 3
    assert len(recovered.points) == 4
    assert len({point.y for point in recovered.points}) == 1  # equal values, and still a chart


def test_the_page_shows_numbers_and_links_to_the_experiments(page_client: Client, sweep: Sweep) -> None:
    html = page(page_client, sweep.get_absolute_url())
    for experiment, (_, variance) in zip(members_of(sweep), MEASURED, strict=True):
        assert html.count(f'href="{experiment.get_absolute_url()}"') == 3  # two charts and the table
        assert f"{variance:.4f}" in html
    assert "4 of 4 finished" in html
    assert "hx-get" not in html.partition('id="sweep-results"')[2].partition(">")[0]


def test_experiments_that_differ_in_their_seed_are_named_for_the_comparison(page_client: Client) -> None:
    seeds = store_sweep(SweepRequest(SMALL | {"name": ""}, {"k": "2, 4", "seed": "0, 1"}, "Seeds"), Status.FINISHED)
    first, second = members_of(seeds).filter(k=2)
    assert f"compare_seeds {first.pk} {second.pk}" in page(page_client, seeds.get_absolute_url())
    Experiment.objects.filter(seed=1).update(status=Status.PAUSED)
    assert "compare_seeds" not in page(page_client, seeds.get_absolute_url())


def test_a_sweep_that_has_just_begun_says_so_and_looks_again(page_client: Client) -> None:
    sweep = store_sweep(SweepRequest(SMALL, {"k": "2, 4"}), Status.QUEUED)
    html = page(page_client, sweep.get_absolute_url())
    assert "Appears with the first experiment that is finished." in html
    assert 'hx-trigger="every 3s"' in html
    assert "No worker that runs experiments is alive" in html
    assert 'id="sweep-results"' in page(page_client, f"{sweep.get_absolute_url()}results/")


def test_a_sweep_without_experiments_says_so(page_client: Client, sweep: Sweep) -> None:
    sweep.experiments.all().delete()
    assert "Its experiments were deleted" in page(page_client, sweep.get_absolute_url())


def test_all_of_a_sweep_is_paused_resumed_and_cancelled(page_client: Client) -> None:
    sweep = store_sweep(SweepRequest(SMALL, {"k": "2, 4, 8"}), Status.QUEUED)
    address = sweep.get_absolute_url()
    members = members_of(sweep)
    members.filter(k=2).update(status=Status.FINISHED)
    members.filter(k=4).update(status=Status.RUNNING, lease_until=timezone.now() + timedelta(minutes=1))
    assert ("Pause all" in page(page_client, address), "Resume all" in page(page_client, address)) == (True, False)
    assert page_client.post(f"{address}pause/")["Location"] == address
    assert states(sweep) == [(Status.FINISHED, False), (Status.RUNNING, True), (Status.PAUSED, False)]
    html = page(page_client, address)
    assert "pausing: saving checkpoints" in html
    assert ("Pause all" in html, "Resume all" in html, "Cancel all" in html) == (False, True, True)
    members.filter(k=4).update(status=Status.FAILED, pause_requested=False)
    page_client.post(f"{address}resume/")
    assert [status for status, _ in states(sweep)] == [Status.FINISHED, Status.QUEUED, Status.QUEUED]
    page_client.post(f"{address}cancel/")
    assert [status for status, _ in states(sweep)] == [Status.FINISHED, Status.CANCELLED, Status.CANCELLED]
    html = page(page_client, address)
    assert not any(f"{word} all" in html for word in ("Pause", "Resume", "Cancel"))


def states(sweep: Sweep) -> list[tuple[str, bool]]:
    return list(members_of(sweep).values_list("status", "pause_requested"))


def test_what_can_no_longer_be_done_with_a_sweep_is_said(page_client: Client, api_client: Client, sweep: Sweep) -> None:
    answer = page_client.post(f"{sweep.get_absolute_url()}pause/", follow=True)
    assert "No experiment of this sweep can be paused now." in answer.content.decode()
    for action in ("pause", "resume", "cancel"):
        assert api_client.post(f"/api/sweeps/{sweep.pk}/{action}").status_code == 409
        assert api_client.post(f"/api/sweeps/99/{action}").status_code == 404
        assert page_client.post(f"/sweeps/99/{action}/").status_code == 404
    members_of(sweep).filter(k=2).update(status=Status.FAILED)
    assert api_client.post(f"/api/sweeps/{sweep.pk}/resume").json()["id"] == sweep.pk
    assert states(sweep)[0] == (Status.QUEUED, False)


def test_the_csv_has_a_row_for_each_and_no_formulas(page_client: Client, sweep: Sweep) -> None:
    text = page(page_client, f"{sweep.get_absolute_url()}sweep.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(float(row["l0"]), float(row["explained_variance"])) for row in rows] == MEASURED
    assert [row["k"] for row in rows] == ["2", "4", "8", "16"]
    assert all(row["name"].startswith("'=Ks") for row in rows)


def test_the_list_counts_and_an_experiment_leads_to_its_sweep(page_client: Client, sweep: Sweep) -> None:
    html = page(page_client, "/sweeps/")
    assert html.count('<td class="number">4</td>') == 2
    assert f'href="/sweeps/{sweep.pk}/"' in page(page_client, members_of(sweep)[0].get_absolute_url())


def test_the_list_and_the_page_need_a_constant_number_of_queries(
    page_client: Client, sweep: Sweep, django_assert_max_num_queries: Any
) -> None:
    store_sweep(SweepRequest(SMALL, {"seed": "0, 1, 2"}), Status.QUEUED)
    with django_assert_max_num_queries(6):
        page(page_client, "/sweeps/")
    with django_assert_max_num_queries(8):
        page(page_client, sweep.get_absolute_url())


def test_the_form_starts_a_sweep(page_client: Client) -> None:
    shown = page(page_client, "/sweeps/new/?layer=2")
    assert 'name="layer" value="2"' in shown
    sent = {"model": "builtin", "corpus": "builtin", "site": "resid_post", "layer": "0, 1", "k": "2", "seed": "0,1"}
    sent |= {"n_features": "64", "architecture": "topk", "training_tokens": "40960"}
    response = page_client.post("/sweeps/new/", sent)
    assert response.status_code == 302
    assert response["Location"] == Sweep.objects.get().get_absolute_url()
    assert Experiment.objects.count() == 4


def test_the_form_comes_back_with_the_mistakes_and_what_was_typed(page_client: Client) -> None:
    response = page_client.post("/sweeps/new/", {"model": "builtin", "layer": "0, 9", "k": "4, x"})
    html = response.content.decode()
    assert response.status_code == 422
    assert "k must be a whole number" in html
    assert 'value="4, x"' in html


def test_what_is_not_there_is_404(page_client: Client) -> None:
    for address in ("/sweeps/7/", "/sweeps/7/results/", "/sweeps/7/sweep.csv"):
        assert page_client.get(address).status_code == 404


def test_the_api_makes_lists_and_shows_sweeps(api_client: Client) -> None:
    wanted = SMALL | {"k": [2, 4], "seed": [0, 1], "name": "By API"}
    made = api_client.post("/api/sweeps", wanted, content_type="application/json")
    assert made.status_code == 201
    assert len(made.json()["experiments"]) == 4
    assert made["Location"] == f"/api/sweeps/{made.json()['id']}"
    assert api_client.get(made["Location"]).json() == made.json()
    assert api_client.get("/api/sweeps").json()["items"] == [made.json()]
    first = api_client.get(f"/api/experiments/{made.json()['experiments'][0]}").json()
    assert first["sweep"] == made.json()["id"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"k": [2, {}]}, "k"), ({"k": [2, None]}, "k"), ({"site": ["resid_pre", "resid_post"]}, "site"), ({"k": []}, "")],
)
def test_the_api_refuses_in_one_sentence(api_client: Client, changes: dict[str, Any], field: str) -> None:
    answer = api_client.post("/api/sweeps", SMALL | changes, content_type="application/json")
    if not field:
        assert answer.status_code == 201  # an empty list is the default
        return
    assert answer.status_code == 422
    assert field in answer.json()["error"]["fields"]
