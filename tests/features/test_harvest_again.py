"""An index that is missing or half-written: the pages say so and offer to harvest again, and that brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from django.test import Client
from django.urls import reverse

from experiments import runner
from experiments.models import Experiment
from experiments.services import experiments as service
from experiments.services.configurations import ExperimentRequest
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex
from features.models import Feature, Label
from latentlens.lib.problems import Conflict
from tests.features.conftest import new_experiment
from tests.lens.test_every_architecture import SMALL

Status = Experiment.Status


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(service, "enqueue", told.append)
    return told


@pytest.mark.parametrize("status", [Status.FINISHED, Status.CANCELLED])
def test_a_trained_experiment_is_queued_at_its_harvest(db: None, enqueued: list[int], status: str) -> None:
    experiment = new_experiment(status, weights_sha256="ab" * 32)
    again = service.harvest_again(experiment.pk)
    assert (again.status, again.stage, again.finished_at) == (Status.QUEUED, "harvest", None)
    assert enqueued == [experiment.pk]


@pytest.mark.parametrize(
    ("status", "columns"),
    [
        (Status.RUNNING, {"weights_sha256": "ab"}),
        (Status.QUEUED, {"weights_sha256": "ab"}),
        (Status.CANCELLED, {"weights_sha256": ""}),
    ],
)
def test_what_is_not_trained_or_in_somebodys_hands_is_refused(
    db: None, enqueued: list[int], api_client: Client, status: str, columns: dict[str, str]
) -> None:
    experiment = new_experiment(status, **columns)
    with pytest.raises(Conflict, match="cannot be harvested again"):
        service.harvest_again(experiment.pk)
    assert api_client.post(f"/api/experiments/{experiment.pk}/harvest").status_code == 409
    assert enqueued == []


def test_pages_offer_it_where_the_index_is_damaged(page_client: Client, experiment: Experiment) -> None:
    experiment_folder(experiment.pk).activations.write_bytes(b"PAR1 half of a file")
    offer = f'action="{reverse("experiments:harvest", args=[experiment.pk])}"'
    feature = page_client.get(reverse("features:detail", args=[experiment.pk, 0])).content.decode()
    search = page_client.get(reverse("features:search", args=[experiment.pk]), {"query": "fires(1)"}).content.decode()
    for content in (feature, search):
        assert "missing or damaged: harvest it again" in content
        assert offer in content
    wrong = page_client.get(reverse("features:detail", args=[experiment.pk, 0]), {"rank": "x"}).content.decode()
    assert offer not in wrong


@pytest.mark.django_db(transaction=True)
def test_harvesting_again_brings_the_index_back_and_keeps_labels(
    data_dir: Path, page_client: Client, enqueued: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "cpu_threads", lambda: 1)
    torch.set_num_threads(1)
    experiment = service.create_experiment(ExperimentRequest(**SMALL))
    runner.run(experiment.pk)
    folder = experiment_folder(experiment.pk)
    feature = Feature.objects.filter(experiment=experiment).order_by("-firings")[0]
    before = ActivationIndex(folder).examples(feature.index)
    Label.objects.create(feature=feature, experiment=feature.experiment, text="kept")
    folder.activations.unlink()
    page_client.post(reverse("experiments:harvest", args=[experiment.pk]))
    runner.run(experiment.pk)
    experiment.refresh_from_db()
    assert (experiment.error, experiment.status) == ("", Status.FINISHED)
    assert ActivationIndex(folder).examples(feature.index) == before
    assert feature.labels.get().text == "kept"
    assert enqueued == [experiment.pk, experiment.pk]
