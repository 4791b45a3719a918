"""The API of features and labels: the happy path first, then refusals."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import Feature, Label
from features.services.gallery import CLOSEST_FIRST, ORDERINGS
from features.services.labels import Author, LabelDraft, add_label, withdraw_label
from latentlens.accounts.services import create_api_key
from tests.features import synthetic_index as synthetic
from tests.features.conftest import new_experiment
from tests.features.synthetic_index import SyntheticIndex


def listed(client: Client, experiment: Experiment, **parameters: object) -> Any:
    response = client.get("/api/features", {"experiment": experiment.pk, **parameters})
    assert response.status_code == 200, response.content
    return response.json()


def indices(client: Client, experiment: Experiment, **parameters: object) -> list[int]:
    return [item["index"] for item in listed(client, experiment, **parameters)["items"]]


def test_the_list_shows_the_most_frequent_features_first(api_client: Client, experiment: Experiment) -> None:
    items = listed(api_client, experiment)["items"]
    assert [item["density"] for item in items] == sorted((item["density"] for item in items), reverse=True)
    assert items[0]["index"] == synthetic.ALWAYS_ON
    low, high = items[0]["density_interval"]
    assert 0.99 < low < high == 1.0
    assert items[1]["top_tokens"] == [" we", " meet"]


@pytest.mark.parametrize("ordering", [name for name in ORDERINGS if name != CLOSEST_FIRST])
def test_pages_of_every_ordering_cover_the_catalogue_once(
    api_client: Client, experiment: Experiment, ordering: str
) -> None:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = listed(api_client, experiment, ordering=ordering, limit=7, cursor=cursor)
        found += page["items"]
        cursor = page["next"]
    key = ordering.removeprefix("-")
    if key in found[0]:  # confidence and score are facts of labels
        values = [item[key] for item in found if item[key] is not None]
        assert values == sorted(values, reverse=ordering.startswith("-"))
    assert sorted(item["index"] for item in found) == list(range(synthetic.FEATURES))


def test_filters_narrow_the_list(api_client: Client, experiment: Experiment, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft("weekdays"), Author())
    assert indices(api_client, experiment, min_density=0.1) == [synthetic.ALWAYS_ON, synthetic.TWICE]
    assert indices(api_client, experiment, max_density=0.0) == [synthetic.DEAD]
    assert indices(api_client, experiment, token=" MONDAY ") == [synthetic.WEEKDAY]
    assert indices(api_client, experiment, token="mon") == []
    assert indices(api_client, experiment, token="↵", max_density=0.9) == [synthetic.NEWLINE]
    assert indices(api_client, experiment, labelled="true") == [synthetic.WEEKDAY]
    assert len(indices(api_client, experiment, labelled="false")) == synthetic.FEATURES - 1
    assert indices(api_client, experiment, concept="weekday") == [synthetic.WEEKDAY]
    assert indices(api_client, experiment, token="%") == []


def test_features_of_other_experiments_stay_out(api_client: Client, experiment: Experiment) -> None:
    assert indices(api_client, new_experiment(name="another")) == []


def test_a_list_takes_the_same_queries_for_any_number_of_features(
    api_client: Client, owner: User, experiment: Experiment, django_assert_num_queries: Any
) -> None:
    for feature in Feature.objects.all():
        add_label(feature.pk, LabelDraft.of("x", tags=["one", "two"]), Author())
    with django_assert_num_queries(6):
        assert len(indices(api_client, experiment)) == synthetic.FEATURES


def test_one_feature_comes_with_its_evidence(api_client: Client, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("weekdays", tags=["dates"]), Author())
    feature = api_client.get(f"/api/features/{weekday.pk}").json()
    assert feature["label"] == "weekdays"
    assert feature["tags"] == ["dates"]
    assert feature["experiment"] == weekday.experiment_id
    summary = feature["summary"]
    assert sum(summary["histogram"]["counts"]) == feature["firings"] == 60
    assert {token["text"] for token in summary["top_tokens"]} == set(synthetic.WEEKDAYS)
    assert [token["text"] for token in summary["promoted"]] == [" at", synthetic.SCRIPT]
    assert summary["nearest"] == [{"index": 1, "cosine": 0.8}, {"index": 2, "cosine": 0.7}]
    assert summary["concept"]["precision"] == 1.0


def test_examples_are_paged_by_their_rank(api_client: Client, experiment: Experiment, truth: SyntheticIndex) -> None:
    twice = Feature.objects.get(index=synthetic.TWICE)
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"limit": 50, "cursor": cursor, "show": "firings"}
        page = api_client.get(f"/api/features/{twice.pk}/examples", parameters).json()
        assert page["total"] == 120
        found += page["items"]
        cursor = page["next"]
    assert [(item["activation"], item["position"]) for item in found] == truth.strongest(synthetic.TWICE)
    per_document = api_client.get(f"/api/features/{twice.pk}/examples").json()
    assert (len(per_document["items"]), per_document["total"]) == (10, 60)


def test_a_label_is_added_listed_edited_and_withdrawn(api_client: Client, weekday: Feature) -> None:
    address = f"/api/features/{weekday.pk}/labels"
    content = {"text": "weekdays", "note": "in four languages", "tags": ["Dates"], "confidence": 0.9}
    added = api_client.post(address, content, content_type="application/json")
    assert added.status_code == 201
    label = added.json()
    assert content | {"tags": ["dates"]} == {name: label[name] for name in content}
    assert label["is_current"] is True
    assert label["author"]
    one = f"{address}/{label['id']}"
    assert api_client.get(address).json() == {"items": [label], "next": None}
    assert api_client.get(one).json() == label
    edited = api_client.put(one, {"text": "days of the week"}, content_type="application/json")
    assert (edited.status_code, edited.json()["text"], edited.json()["tags"]) == (200, "days of the week", [])
    assert api_client.delete(one).status_code == 204
    assert api_client.get(address).json()["items"] == []
    assert api_client.get(one).status_code == 404


def test_without_a_key_nothing_is_told(client: Client, weekday: Feature) -> None:
    for address in (f"/api/features?experiment={weekday.experiment_id}", f"/api/features/{weekday.pk}"):
        assert client.get(address).status_code == 401
    refused = client.post(f"/api/features/{weekday.pk}/labels", {"text": "x"}, content_type="application/json")
    assert refused.status_code == 401
    assert not Label.objects.exists()


@pytest.mark.parametrize(
    "parameters",
    [
        {"ordering": "card"},
        {"ordering": "-closeness"},
        {"ordering": "experiment__name"},
        {"min_density": "nan"},
        {"max_density": "Infinity"},
        {"min_density": -1},
        {"min_density": 0.5, "max_density": 0.1},
        {"limit": 0},
        {"limit": 10**30},
        {"cursor": "nonsense"},
        {"token": "x\x00"},
        {"token": "x" * 1000},
        {"concept": "x\x00"},
        {"labelled": "perhaps"},
        {"experiment": "one"},
    ],
)
def test_unusable_parameters_are_a_sentence(
    api_client: Client, experiment: Experiment, parameters: dict[str, object]
) -> None:
    response = api_client.get("/api/features", {"experiment": experiment.pk} | parameters)
    assert response.status_code == 422
    problem = response.json()["error"]
    assert problem["message"]
    assert set(problem["fields"]) & set(parameters)


def test_a_cursor_of_another_ordering_is_refused(api_client: Client, experiment: Experiment) -> None:
    cursor = listed(api_client, experiment, limit=1, ordering="density")["next"]
    parameters = {"experiment": experiment.pk, "ordering": "index", "cursor": cursor}
    assert api_client.get("/api/features", parameters).status_code == 422


@pytest.mark.parametrize("status", ["queued", "running", "paused", "failed", "cancelled"])
def test_an_experiment_without_features_says_why(api_client: Client, db: None, status: str) -> None:
    response = api_client.get("/api/features", {"experiment": new_experiment(status).pk})
    assert response.status_code == 409
    assert status in response.json()["error"]["message"]


@pytest.mark.parametrize("key", [0, 999_999, 2**63 - 1, 2**63, 10**40])
def test_what_does_not_exist_is_a_404(api_client: Client, weekday: Feature, key: int) -> None:
    assert api_client.get("/api/features", {"experiment": key}).status_code == 404
    for address in (str(key), f"{key}/examples", f"{key}/labels", f"{weekday.pk}/labels/{key}"):
        assert api_client.get(f"/api/features/{address}").status_code == 404, address
    added = api_client.post(f"/api/features/{key}/labels", {"text": "x"}, content_type="application/json")
    assert added.status_code == 404
    assert api_client.delete(f"/api/features/{weekday.pk}/labels/{key}").status_code == 404


def test_withdrawing_twice_is_a_404(api_client: Client, weekday: Feature) -> None:
    label = add_label(weekday.pk, LabelDraft("x"), Author())
    withdraw_label(weekday.pk, label.pk, Author())
    assert api_client.delete(f"/api/features/{weekday.pk}/labels/{label.pk}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        '{"text": ""}',
        '{"text": "nul\\u0000"}',
        '{"text": "half \\ud800"}',
        '{"text": "x", "confidence": NaN}',
        '{"text": "x", "confidence": 1e999}',
        '{"text": "x", "tags": ["a,b"]}',
        '{"text": ["x"]}',
        "{}",
        "[]",
        "{",
    ],
)
def test_an_unusable_label_is_refused_and_not_stored(api_client: Client, weekday: Feature, body: str) -> None:
    response = api_client.post(f"/api/features/{weekday.pk}/labels", body, content_type="application/json")
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]
    assert not Label.objects.exists()


@pytest.mark.parametrize("cursor", ["0", "-1", "x", "1e5", 10**30])
def test_examples_refuse_a_cursor_that_is_no_rank(api_client: Client, weekday: Feature, cursor: object) -> None:
    assert api_client.get(f"/api/features/{weekday.pk}/examples", {"cursor": cursor}).status_code == 422


def test_a_missing_index_is_a_conflict_without_a_path(api_client: Client, weekday: Feature, data_dir: Any) -> None:
    experiment_folder(weekday.experiment_id).activations.unlink()
    response = api_client.get(f"/api/features/{weekday.pk}/examples")
    assert response.status_code == 409
    assert str(data_dir) not in response.content.decode()


def test_a_label_is_signed_with_the_key_and_a_stale_version_is_a_conflict(api_client: Client, weekday: Feature) -> None:
    address = f"/api/features/{weekday.pk}/labels"
    label = api_client.post(address, {"text": "weekdays"}, content_type="application/json").json()
    one = f"{address}/{label['id']}"
    edit = {"text": "days", "version": label["version"]}
    assert api_client.put(one, edit, content_type="application/json").json()["version"] == 2
    stale = api_client.put(one, edit | {"text": "mine"}, content_type="application/json")
    assert stale.status_code == 409
    assert "“days”" in stale.json()["error"]["message"]
    history = api_client.get(f"{one}/history").json()["items"]
    assert [row["text"] for row in history] == ["days", "weekdays"]
    assert {row["who"] for row in history} == {label["author"]}


def test_a_label_is_withdrawn_restored_and_chosen(api_client: Client, weekday: Feature) -> None:
    address = f"/api/features/{weekday.pk}/labels"
    first, second = (
        api_client.post(address, {"text": text}, content_type="application/json").json()["id"] for text in ("a", "b")
    )
    assert api_client.post(f"{address}/{first}/choose").json()["is_current"] is True
    api_client.delete(f"{address}/{first}")
    assert api_client.get(f"{address}/{second}").json()["is_current"] is True
    restored = api_client.post(f"{address}/{first}/restore").json()
    assert (restored["text"], restored["is_current"]) == ("a", False)
    assert api_client.post(f"{address}/{first}/restore").status_code == 404


def test_an_author_with_a_key_of_one_s_own_is_named_with_it(client: Client, owner: User, weekday: Feature) -> None:
    key = create_api_key(owner, "notebook")
    address = f"/api/features/{weekday.pk}/labels"
    added = client.post(address, {"text": "x"}, content_type="application/json", headers={"X-API-Key": key})
    assert added.json()["author"] == "owner (notebook)"
