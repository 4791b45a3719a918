"""`/api/activations/`: a text read through an experiment, as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment
from lens import runner
from lens.models import Analysis
from lens.services.analyses import find_analysis
from tests.lens.conftest import make_experiment
from tests.lens.fake_lens import FakeLens

ANALYZE = "/api/activations/analyze"


def _post(client: Client, body: Any) -> Any:
    return client.post(ANALYZE, body if isinstance(body, str) else json.dumps(body), content_type="application/json")


def test_every_token_with_its_features(lens_worker: FakeLens, experiment: Experiment, api_client: Client) -> None:
    answer = _post(api_client, {"experiment": experiment.pk, "text": "Lily sang", "top_k": 1})
    assert answer.status_code == 200
    document = answer.json()
    feature = {"id": experiment.features.get().pk, "index": 3, "activation": 11.0, "label": "names"}
    assert document["status"] == "finished"
    assert document["experiment"] == experiment.pk
    assert document["tokens"][1] == {
        "position": 1,
        "text": "Lily",
        "special": False,
        "active_count": 2,
        "relative_error": 0.25,
        "features": [feature],
    }
    assert document["tokens"][2]["features"] == [{"id": None, "index": 7, "activation": 2.0, "label": None}]
    assert api_client.get(f"/api/activations/{document['id']}").json() == document


def test_no_worker_means_202_and_an_address_to_ask_again(
    experiment: Experiment, api_client: Client, sent: list[str], fake_lens: FakeLens
) -> None:
    answer = _post(api_client, {"experiment": experiment.pk, "text": "Lily", "wait": 30})
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["tokens"]) == ("queued", [])
    asked = find_analysis(answer.json()["id"])
    assert answer.headers["Location"] == f"/api/activations/{asked.pk}"
    runner.read(asked.pk)
    assert api_client.get(answer.headers["Location"]).json()["status"] == "finished"


def test_a_prompt_beyond_the_context_is_refused_with_its_length(
    lens_worker: FakeLens, experiment: Experiment, api_client: Client
) -> None:
    answer = _post(api_client, {"experiment": experiment.pk, "text": "word " * 21})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "The prompt has 21 tokens, but the model reads at most 20."


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a\x00"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"text": "x" * 100_001}, "text"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 10**30}, "top_k"),
        ({"wait": 31}, "wait"),
        ({"wait": -1}, "wait"),
        ({"experiment": 0}, "experiment"),
        ({"experiment": "../1"}, "experiment"),
        ({"experiment": 10**30}, "experiment"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    experiment: Experiment, api_client: Client, change: dict[str, Any], field: str
) -> None:
    answer = _post(api_client, {"experiment": experiment.pk, "text": "Lily"} | change)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == {field}
    assert not Analysis.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(experiment: Experiment, api_client: Client, number: str) -> None:
    answer = _post(api_client, f'{{"experiment": {experiment.pk}, "text": "Lily", "wait": {number}}}')
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["message"]


def test_experiments_that_cannot_be_read_through(api_client: Client) -> None:
    assert _post(api_client, {"experiment": 99, "text": "Lily"}).status_code == 404
    unfinished = make_experiment("running")
    answer = _post(api_client, {"experiment": unfinished.pk, "text": "Lily"})
    assert answer.status_code == 409
    assert "running" in answer.json()["error"]["message"]


def test_an_analysis_that_does_not_exist(api_client: Client) -> None:
    assert api_client.get("/api/activations/00000000-0000-0000-0000-000000000000").status_code == 404
    assert api_client.get("/api/activations/7").status_code == 422


def test_without_a_key_nothing_is_said(experiment: Experiment) -> None:
    assert _post(Client(), {"experiment": experiment.pk, "text": "Lily"}).status_code == 401


def test_the_key_belongs_to_somebody_and_so_does_the_analysis(
    experiment: Experiment, api_client: Client, sent: list[str]
) -> None:
    _post(api_client, {"experiment": experiment.pk, "text": "Lily"})
    author = Analysis.objects.get().author
    assert author is not None
    assert author.username == "owner"
