"""The API of experiments and corpora: statuses, bodies, and every bad input as a sentence with the right number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments.models import Corpus, Experiment, Metric
from experiments.services import leases
from tests.experiments.conftest import SMALL

Make = Callable[..., Experiment]
Upload = Callable[[str, str | bytes], Any]
Status = Experiment.Status


def post(client: Client, body: object) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post("/api/experiments", text, content_type="application/json")


def test_creating_an_experiment(api_client: Client, data_dir: Path) -> None:
    response = post(api_client, SMALL | {"name": "Mine", "sparsity_coefficient": 0.01, "seed": 3, "corpus": "builtin"})
    body = response.json()
    assert response.status_code == 201, body
    assert response["Location"] == f"/api/experiments/{body['id']}"
    assert (body["name"], body["status"], body["stage"], body["quality"]) == ("Mine", "queued", None, None)
    assert body["config"]["seed"] == 3
    assert body["progress"] == {
        "step": 0, "steps": 80, "tokens": 0, "tokens_per_second": None, "seconds_left": None, "note": ""
    }  # fmt: skip


def test_without_a_key_nobody_is_served(client: Client, db: None) -> None:
    for method, path in [("get", ""), ("post", ""), ("get", "/1"), ("get", "/1/metrics"), ("delete", "/1")]:
        response = getattr(client, method)(f"/api/experiments{path}")
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "not_signed_in"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": "../../etc"}, "model"),
        ({"model": "https://example.org/x"}, "model"),
        ({"model": "local:nobody"}, "model"),
        ({"layer": 99}, "layer"),
        ({"layer": -1}, "layer"),
        ({"layer": 1.5}, "layer"),
        ({"k": 65}, "k"),
        ({"n_features": 10**30}, "n_features"),
        ({"n_features": "many"}, "n_features"),
        ({"corpus": 999}, "corpus"),
        ({"corpus": "/etc/passwd"}, "corpus"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "\ud800"}, "name"),
    ],
)
def test_bad_input(api_client: Client, data_dir: Path, changes: dict[str, Any], field: str) -> None:
    response = post(api_client, SMALL | changes)
    error = response.json()["error"]
    assert response.status_code == 422
    assert field in error["fields"]
    assert error["message"]
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["k", "layer", "sparsity_coefficient", "learning_rate"])
def test_numbers_that_are_none(api_client: Client, data_dir: Path, field: str, number: str) -> None:
    response = post(api_client, json.dumps(SMALL | {field: "@"}).replace('"@"', number))
    assert response.status_code == 422
    assert field in response.json()["error"]["fields"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', '{"model": {"a": 1}, "layer": []}'])
def test_a_body_that_is_none(api_client: Client, data_dir: Path, body: str) -> None:
    assert post(api_client, body).status_code in {400, 422}


def test_more_than_the_memory_is_refused_with_the_estimate(
    api_client: Client, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.services.estimates.memory_bytes", lambda: 10**9)
    response = post(api_client, SMALL | {"n_features": 500_000})
    assert response.status_code == 422
    assert "GB of memory" in response.json()["error"]["fields"]["n_features"]


def test_lists_are_paged(api_client: Client, make_experiment: Make) -> None:
    made = [make_experiment().pk for _ in range(3)]
    first = api_client.get("/api/experiments?limit=2").json()
    second = api_client.get("/api/experiments", {"limit": 2, "cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None
    assert api_client.get("/api/experiments?cursor=rubbish").status_code == 422
    assert api_client.get("/api/experiments?limit=0").status_code == 422
    assert api_client.get("/api/experiments?status=odd").status_code == 422


def test_a_list_costs_the_same_for_any_number_of_rows(
    api_client: Client, make_experiment: Make, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        make_experiment()
    with django_assert_max_num_queries(6):  # four of them are about the key
        api_client.get("/api/experiments")


def test_a_finished_experiment(api_client: Client, finished: Experiment) -> None:
    body = api_client.get(f"/api/experiments/{finished.pk}").json()
    assert body["weights_sha256"] == "ab" * 32
    assert body["quality"]["concepts"]["rows"][0]["concept"] == "weekday"
    assert body["url"] == f"/experiments/{finished.pk}/"


def test_metrics_since(api_client: Client, finished: Experiment) -> None:
    for number in range(1, 4):
        Metric.objects.create(experiment=finished, sequence=number, step=number, tokens=number, values={"loss": 0.5})
    items = api_client.get(f"/api/experiments/{finished.pk}/metrics?since=1").json()["items"]
    assert [item["seq"] for item in items] == [2, 3]
    assert items[0] == {"seq": 2, "step": 2, "tokens": 2, "values": {"loss": 0.5}}
    for since in ("-1", "NaN", "x", str(2**70)):
        assert api_client.get(f"/api/experiments/{finished.pk}/metrics", {"since": since}).status_code == 422


def test_many_metrics_come_in_portions(
    api_client: Client, finished: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.services.events.MOST_METRICS", 2)
    for number in range(1, 4):
        Metric.objects.create(experiment=finished, sequence=number, step=number, tokens=number, values={})
    first = api_client.get(f"/api/experiments/{finished.pk}/metrics").json()
    assert ([item["seq"] for item in first["items"]], first["next"]) == ([1, 2], 2)
    rest = api_client.get(f"/api/experiments/{finished.pk}/metrics", {"since": first["next"]}).json()
    assert ([item["seq"] for item in rest["items"]], rest["next"]) == ([3], None)


def test_cancel_pause_resume_delete(api_client: Client, make_experiment: Make) -> None:
    address = f"/api/experiments/{make_experiment().pk}"
    assert api_client.post(f"{address}/pause").json()["status"] == "paused"
    assert api_client.post(f"{address}/resume").json()["status"] == "queued"
    assert api_client.post(f"{address}/cancel").json()["status"] == "cancelled"
    conflict = api_client.post(f"{address}/cancel")
    assert conflict.status_code == 409
    assert conflict.json()["error"]["code"] == "conflict"
    assert api_client.delete(address).status_code == 204
    assert api_client.get(address).status_code == 404


def test_a_running_experiment_is_not_deleted(api_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "w")
    assert api_client.delete(f"/api/experiments/{experiment.pk}").status_code == 409


@pytest.mark.parametrize("number", [0, 12345, 10**30])
def test_there_is_no_such_experiment(api_client: Client, db: None, number: int) -> None:
    for method, path in [("get", ""), ("get", "/metrics"), ("post", "/cancel"), ("post", "/pause"), ("delete", "")]:
        response = getattr(api_client, method)(f"/api/experiments/{number}{path}")
        assert response.status_code == 404, (method, path)
        assert response.json()["error"]["code"] == "not_found"


def test_uploading_a_corpus_and_using_it(api_client: Client, upload: Upload) -> None:
    text = "A paragraph of text.\n\n" * 50
    made = api_client.post("/api/corpora", {"file": upload("a.txt", text), "name": "My texts"})
    assert made.status_code == 201, made.json()
    corpus = made.json()
    assert (corpus["name"], corpus["size_bytes"]) == ("My texts", len(text))
    assert api_client.get("/api/corpora").json()["items"] == [corpus]
    experiment = post(api_client, SMALL | {"corpus": corpus["id"]}).json()
    assert experiment["corpus"] == corpus["id"]
    assert experiment["config"]["corpus"]["content_hash"] == corpus["content_hash"]


@pytest.mark.parametrize(
    ("name", "content", "column", "field"),
    [
        ("a.txt", b"", "", "file"),
        ("a.txt", b"nul\0", "", "file"),
        ("a.pdf", b"%PDF", "", "file"),
        ("a.csv", b"a,b\n1,2\n", "text", "column"),
    ],
)
def test_a_bad_upload(api_client: Client, upload: Upload, name: str, content: bytes, column: str, field: str) -> None:
    response = api_client.post("/api/corpora", {"file": upload(name, content), "column": column})
    assert response.status_code == 422
    assert list(response.json()["error"]["fields"]) == [field]
    assert not Corpus.objects.exists()


def test_an_upload_without_a_file(api_client: Client, data_dir: Path) -> None:
    assert api_client.post("/api/corpora", {"name": "x"}).status_code == 422


def test_a_corpus_on_the_hub(api_client: Client, db: None) -> None:
    made = api_client.post("/api/corpora/hub", {"hub_id": "org/texts"}, content_type="application/json")
    assert (made.status_code, made.json()["split"]) == (201, "train")
    refused = api_client.post("/api/corpora/hub", {"hub_id": "../x"}, content_type="application/json")
    assert refused.status_code == 422


def test_html_is_text(api_client: Client, data_dir: Path) -> None:
    response = post(api_client, SMALL | {"name": "<script>alert(1)</script>"})
    assert response["Content-Type"].startswith("application/json")
    assert response.json()["name"] == "<script>alert(1)</script>"


def test_the_description_declares_every_refusal(client: Client, db: None) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    ours = [path for path in paths if path.startswith(("/api/experiments", "/api/corpora"))]
    assert len(ours) >= 8
    for path in ours:
        for operation in paths[path].values():
            assert {"401", "404", "409", "422"} <= set(operation["responses"]), path
