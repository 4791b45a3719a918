"""Models from a hub through the real client: pinned, without pickles, with progress, and a sentence when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.conftest import Client
from tests.hub.loopback_hub import LoopbackHub

MODEL = "tiny/stories"
# Port 9 is reserved for discarding; nothing listens there on the loopback interface.
NOBODY = "http://127.0.0.1:9"


def model_folder(hub: LoopbackHub) -> Path:
    return hub.root / "models" / MODEL


def test_model_is_fetched_at_its_commit_without_pickles(hub: LoopbackHub, client: Client) -> None:
    folder = model_folder(hub)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    answer = client("fetch", MODEL)
    assert answer["commit"] == hub.commit(folder)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(answer["files"])
    assert not {"pytorch_model.bin", "onnx"} & set(answer["files"])
    assert not [request for request in hub.requests if ".bin" in request or "onnx/" in request]


def test_fetched_model_loads_and_keeps_its_commit(hub: LoopbackHub, client: Client) -> None:
    assert client("load", MODEL) == {"revision": hub.commit(model_folder(hub)), "width": 32, "name": MODEL}


def test_progress_is_told_in_bytes(hub: LoopbackHub, client: Client) -> None:
    hub.seconds_per_chunk = 0.1
    (model_folder(hub) / "tokenizer.model").write_bytes(b"x" * 1_500_000)
    progress = client("fetch", MODEL)["progress"]
    steps = [step for step, _, _ in progress]
    assert steps == sorted(steps)
    assert 0 < steps[-1] <= progress[-1][1]
    assert progress[-1][2] == "downloading tiny/stories"


def test_download_that_nobody_waits_for_ends(hub: LoopbackHub, client: Client) -> None:
    hub.seconds_per_chunk = 0.1
    (model_folder(hub) / "tokenizer.model").write_bytes(b"x" * 20_000_000)
    assert client("stop_half_way", MODEL) == {"ended": True}


@pytest.mark.parametrize("part", ["/api/models/tiny/stories", "tree", "model.safetensors"])
def test_busy_hub_is_asked_again(hub: LoopbackHub, client: Client, part: str) -> None:
    hub.fail_next(part, 503, times=2)
    assert client("fetch", MODEL)["commit"] == hub.commit(model_folder(hub))
    assert hub.faults[0].times == 0


def test_description_needs_no_weights(hub: LoopbackHub, client: Client) -> None:
    answer = client("describe", MODEL)
    card = answer["card"]
    assert answer["commit"] == hub.commit(model_folder(hub))
    assert (card["layers"], card["width"], card["kind"], card["name"]) == (3, 32, "causal", MODEL)
    assert card["weights_bytes"] == (model_folder(hub) / "model.safetensors").stat().st_size
    assert not [request for request in hub.requests if "safetensors" in request]


def test_model_that_was_fetched_is_there_without_a_network(hub: LoopbackHub, client: Client) -> None:
    commit = client("fetch", MODEL)["commit"]
    commands = [("fetch", MODEL), ("describe", MODEL), ("load", MODEL)]
    fetched, described, loaded = client.answers(commands, url=NOBODY)
    assert fetched["commit"] == described["commit"] == loaded["revision"] == commit
    assert described["card"]["parameters"] > 0
    asked = len(hub.requests)
    client("fetch", MODEL, commit)  # a commit never changes, so the hub need not be asked again
    assert len(hub.requests) == asked


def test_machine_without_a_network_is_told_what_to_do(client: Client) -> None:
    for answer in client.answers([("fetch", MODEL), ("describe", MODEL)], url=NOBODY):
        assert answer["error"] == "HubUnreachableError"
        assert "cannot be reached" in answer["sentence"]
        assert "MODELS_DIR" in answer["sentence"]


def test_model_that_cannot_be_had_gets_a_sentence(hub: LoopbackHub, client: Client) -> None:
    for name in ("gated", "pickled"):
        (hub.root / "models" / "tiny" / name).mkdir()
        (hub.root / "models" / "tiny" / name / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    hub.gated.add("tiny/gated")
    sentences = {
        ("tiny/unheard-of",): "The hub has no model “tiny/unheard-of”",
        (MODEL, "no-such-branch"): "has no such revision",
        ("tiny/gated",): "is gated: accept its terms",
        ("tiny/pickled",): "has no safetensors weights",
    }
    for command in ("fetch", "describe"):
        answers = client.answers([(command, *asked) for asked in sentences])
        for answer, sentence in zip(answers, sentences.values(), strict=True):
            assert answer["error"] == "HubError"
            assert sentence in answer["sentence"]
            assert "\n" not in answer["sentence"]


def test_hub_that_stays_broken_is_named_with_its_error(hub: LoopbackHub, client: Client) -> None:
    hub.fail_next("/api/models", 418, times=1)
    assert "error 418" in client("fetch", MODEL)["sentence"]
