"""The page and the API of what is kept on disk: what it shows, and that only what is listed can be deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.engine.segment_cache import SEGMENTS, SegmentCache, Stream, segment_path
from experiments.models import Experiment
from experiments.services.folders import cache_folder

STREAM = Stream("builtin", "ab", "float32", ((1, "resid_post"),), "tales", "cd", 128, 1_000, 0, "float32 · tests")
WINDOWS = "0123456789abcdef" * 2


@pytest.fixture
def cache(data_dir: Path) -> SegmentCache:
    return SegmentCache(cache_folder() / SEGMENTS, 10_000)


@pytest.fixture
def kept(cache: SegmentCache, make_experiment: Callable[..., Experiment]) -> Experiment:
    """The experiment that used 5,000 bytes of hidden states; beside them there are windows of 8,000 bytes."""
    experiment = make_experiment("finished", name="Reader of tales")
    with cache.opened(STREAM, [str(experiment.pk)]) as folder:
        cache.keep(segment_path(folder, 0), 5_000, lambda path: path.write_bytes(bytes(5_000)) and None)
    windows = cache_folder() / "windows" / WINDOWS
    windows.mkdir(parents=True)
    (windows / "windows.json").write_text(json.dumps({"read": {"documents": {"training": 900, "held_out": 100}}}))
    (windows / "tokens.npy").write_bytes(bytes(8_000))
    return experiment


def test_the_page_shows_what_is_kept_and_who_used_it(page_client: Client, kept: Experiment) -> None:
    page = page_client.get(reverse("experiments:cache")).content.decode()
    for words in ("tales", "Reader of tales", kept.get_absolute_url(), "1,000 documents", STREAM.key, WINDOWS):
        assert words in page
    assert reverse("experiments:cache") in page_client.get(reverse("experiments:list")).content.decode()


def test_an_empty_cache_says_what_would_be_there(page_client: Client, data_dir: Path) -> None:
    assert "Nothing is kept yet" in page_client.get(reverse("experiments:cache")).content.decode()


@pytest.mark.parametrize("key", [STREAM.key, WINDOWS])
def test_delete_removes_it_from_disk(page_client: Client, kept: Experiment, key: str) -> None:
    answer = page_client.post(reverse("experiments:cache-delete", args=[key]), follow=True)
    assert "was deleted" in answer.content.decode()
    assert list(cache_folder().rglob(key)) == []


@pytest.mark.parametrize("key", ["f" * 32, "..", "%2e%2e", "segments", "windows"])
def test_only_what_is_listed_can_be_deleted(api_client: Client, kept: Experiment, key: str) -> None:
    assert api_client.delete(f"/api/cache/{key}").status_code == 404
    assert (cache_folder() / "windows" / WINDOWS).exists()
    assert (cache_folder() / SEGMENTS / STREAM.key).exists()


def test_what_is_in_use_stays(
    page_client: Client, api_client: Client, cache: SegmentCache, kept: Experiment, make_experiment: Any
) -> None:
    with cache.opened(STREAM, [str(kept.pk)]):
        refused = api_client.delete(f"/api/cache/{STREAM.key}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    make_experiment("running")
    answer = page_client.post(reverse("experiments:cache-delete", args=[WINDOWS]), follow=True)
    assert "An experiment is running" in answer.content.decode()
    assert (cache_folder() / "windows" / WINDOWS).exists()


def test_the_api_lists_and_deletes(api_client: Client, kept: Experiment, settings: Any) -> None:
    settings.CACHE_QUOTA_GB = 2
    state = api_client.get("/api/cache").json()
    by_kind = {entry["kind"]: entry for entry in state["entries"]}
    assert (state["quota_bytes"], state["hidden_state_bytes"]) == (2_000_000_000, 5_000)
    assert by_kind["hidden states"]["experiments"] == [kept.pk]
    assert by_kind["token windows"]["size_bytes"] > 8_000
    assert api_client.delete(f"/api/cache/{STREAM.key}").status_code == 204
    assert [entry["kind"] for entry in api_client.get("/api/cache").json()["entries"]] == ["token windows"]


def test_a_link_cannot_delete(page_client: Client, kept: Experiment) -> None:
    assert page_client.get(reverse("experiments:cache-delete", args=[WINDOWS])).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = page_client.cookies
    assert strict.post(reverse("experiments:cache-delete", args=[WINDOWS])).status_code == 403


def test_an_experiment_may_keep_its_hidden_states(
    api_client: Client, page_client: Client, make_experiment: Any
) -> None:
    wanted = {"model": "builtin", "layer": 1, "n_features": 64, "k": 4, "training_tokens": 40_960}
    for extra, kept in (({}, False), ({"cache_hidden_states": True}, True)):
        answer = api_client.post("/api/experiments", wanted | extra, content_type="application/json")
        assert answer.status_code == 201, answer.json()
        assert answer.json()["config"]["cache_hidden_states"] is kept
    form = {**wanted, "corpus": "builtin", "site": "resid_post", "seed": 0, "cache_hidden_states": "true"}
    assert page_client.post(reverse("experiments:new"), form).status_code == 302
    assert Experiment.objects.first().config["cache_hidden_states"] is True  # type: ignore[union-attr]
