"""The admin of experiments: every list and form opens, searches and filters; what workers write stays read-only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from experiments.models import Corpus, Experiment, HubModel, Metric
from experiments.services import leases
from experiments.services.folders import experiment_folder
from experiments.services.workers import record_heartbeat

Make = Callable[..., Experiment]
NASTY = "<script>alert(1)</script>"


@pytest.mark.parametrize("model", ["experiment", "metric", "corpus", "worker", "hubmodel"])
def test_lists_open_and_search(page_client: Client, finished: Experiment, model: str) -> None:
    Metric.objects.create(experiment=finished, sequence=1, step=1, tokens=1, values={})
    HubModel.objects.create(hub_id="org/name")
    record_heartbeat("w", ["experiments"])
    response = page_client.get(f"/admin/experiments/{model}/", {"q": "e"})
    assert response.status_code == 200


def test_experiments_are_found_by_name_status_and_weights(page_client: Client, finished: Experiment) -> None:
    for query in ({"q": "Finished one"}, {"q": "abab"}, {"status__exact": "finished"}):
        assert "Finished one" in page_client.get("/admin/experiments/experiment/", query).content.decode()
    assert (
        "Finished one</a>"
        not in page_client.get("/admin/experiments/experiment/", {"status__exact": "failed"}).content.decode()
    )


def test_only_the_name_of_an_experiment_can_be_changed(page_client: Client, finished: Experiment) -> None:
    address = f"/admin/experiments/experiment/{finished.pk}/change/"
    text = page_client.get(address).content.decode()
    assert 'name="name"' in text
    assert 'name="status"' not in text
    assert finished.get_absolute_url() in text
    page_client.post(address, {"name": NASTY, "status": "queued"})
    finished.refresh_from_db()
    assert (finished.name, finished.status) == (NASTY, "finished")
    assert NASTY not in page_client.get("/admin/experiments/experiment/").content.decode()
    assert page_client.get("/admin/experiments/experiment/add/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_deleting_takes_the_files_along(page_client: Client, finished: Experiment) -> None:
    folder = experiment_folder(finished.pk).path
    folder.mkdir(parents=True)
    page_client.post(f"/admin/experiments/experiment/{finished.pk}/delete/", {"post": "yes"})
    assert not Experiment.objects.exists()
    assert not folder.exists()


def test_a_running_experiment_is_not_deleted(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "w")
    assert page_client.post(f"/admin/experiments/experiment/{experiment.pk}/delete/").status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": experiment.pk, "post": "yes"}
    page_client.post("/admin/experiments/experiment/", chosen)
    assert Experiment.objects.exists()


def test_a_corpus_can_be_renamed_and_nothing_else(page_client: Client, data_dir: Path) -> None:
    corpus = Corpus.objects.create(name="old", source="upload", file="x.txt")
    page_client.post(f"/admin/experiments/corpus/{corpus.pk}/change/", {"name": "new", "file": "/etc/passwd"})
    corpus.refresh_from_db()
    assert (corpus.name, corpus.file) == ("new", "x.txt")
