"""Starting from a finished experiment: what is accepted, what is refused, and how the pages lead there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments import runner
from experiments.live_page import fine_tune_url, repeat_url
from experiments.models import Experiment
from experiments.services.configurations import ExperimentRequest, configure
from experiments.services.experiments import store_experiment
from experiments.services.folders import experiment_folder
from latentlens.lib.problems import Refused
from tests.experiments.conftest import SMALL

Make = Callable[..., Experiment]
pytestmark = pytest.mark.django_db


def request(**changes: Any) -> ExperimentRequest:
    return ExperimentRequest(**(SMALL | changes))


def refusal(**changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        configure(request(**changes))
    return caught.value.fields["start_from"]


def test_the_configuration_names_the_start_and_its_weights(
    finished: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store_experiment(request(start_from=str(finished.pk), k=2, layer=2), "paused")
    assert stored.config["start"] == {"experiment": finished.pk, "weights_sha256": "ab" * 32}
    monkeypatch.setattr(runner, "resolve_device", lambda _: "cpu")
    assert runner.job_of(stored).start_folder == experiment_folder(finished.pk).path
    assert runner.job_of(finished).start_folder is None


def test_what_is_trained_further_keeps_the_low_rate(finished: Experiment) -> None:
    assert finished.config["training"]["learning_rate"] is not None
    assert "learning_rate" not in fine_tune_url(finished)
    assert configure(request(start_from=finished.pk)).config.training.learning_rate is None


def test_only_a_finished_experiment_of_the_same_kind_will_do(finished: Experiment, make_experiment: Make) -> None:
    running = make_experiment()
    assert refusal(start_from="first") == "start_from must be a whole number from 1 to 999,999,999."
    assert refusal(start_from=999) == "There is no experiment 999 to start from."
    assert refusal(start_from=running.pk).endswith("is queued; only a finished one can be started from.")
    assert "is a TopK SAE with 64 features" in refusal(start_from=finished.pk, n_features=128)
    assert "the same architecture" in refusal(start_from=finished.pk, architecture="relu")


def test_hidden_states_of_another_width_are_refused(finished: Experiment) -> None:
    folder = experiment_folder(finished.pk)
    folder.path.mkdir(parents=True)
    folder.sae_config.write_text(json.dumps({"width": 768}))
    sentence = refusal(start_from=finished.pk)
    assert sentence.endswith("reads hidden states of 768 numbers; those of this model have 16.")


def test_the_page_leads_to_the_explorer_which_is_filled_in(page_client: Client, finished: Experiment) -> None:
    page = page_client.get(finished.get_absolute_url()).content.decode()
    assert "Fine-tune from this" in page
    address = next(part for part in page.split('"') if f"start_from={finished.pk}" in part).replace("&amp;", "&")
    form = page_client.get(address).context["form"]
    assert (form.text("start_from"), form.text("n_features")) == (str(finished.pk), "64")


def test_the_page_of_what_was_started_says_from_where(page_client: Client, finished: Experiment) -> None:
    tuned = store_experiment(request(start_from=finished.pk), "paused")
    page = page_client.get(tuned.get_absolute_url()).content.decode()
    assert f"experiment {finished.pk}</a>" in page
    assert f"start_from={finished.pk}" in repeat_url(tuned)


def test_the_api_takes_a_start(api_client: Client, finished: Experiment) -> None:
    wanted = SMALL | {"start_from": finished.pk}
    answer = api_client.post("/api/experiments", wanted, content_type="application/json")
    assert answer.status_code == 201
    assert answer.json()["config"]["start"]["experiment"] == finished.pk
