"""Data sets from a hub, streamed through the real `datasets` library, and a sentence for every wrong choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.hub.conftest import Client
from tests.hub.loopback_hub import LoopbackHub

DATA_SET = "tiny/tales"


@pytest.fixture
def tales(hub: LoopbackHub) -> Path:
    """tiny/tales with the splits train (one blank row among forty) and test."""
    folder = hub.root / "datasets" / DATA_SET
    (folder / "data").mkdir(parents=True)
    _write(folder / "data" / "train.jsonl", [{"text": f"Tale {n}.", "stars": n} for n in range(39)] + [{"text": " "}])
    _write(folder / "data" / "test.jsonl", [{"text": "A tale to be tested with.", "stars": 1}])
    return folder


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_are_streamed_in_order_and_split_by_their_text(hub: LoopbackHub, client: Client, tales: Path) -> None:
    answer, other_split = client.answers([("documents", DATA_SET, "100"), ("documents", DATA_SET, "9", "split=test")])
    assert other_split["texts"] == ["A tale to be tested with."]
    assert answer["texts"] == [f"Tale {n}." for n in range(39)]
    assert 0 < answer["held_out"] < 39
    assert answer["identity"]["commit"] == hub.commit(tales)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("streaming", ["yes", "no"])
def test_interrupted_preparation_goes_on_where_it_was(
    hub: LoopbackHub, client: Client, tmp_path: Path, ending: str, streaming: str
) -> None:
    folder = hub.root / "datasets" / DATA_SET / "data"
    folder.mkdir(parents=True)
    for shard in range(3):
        rows = [{"text": f"Tale {n} of part {shard}."} for n in range(40)]
        if ending == "jsonl":
            _write(folder / f"train-{shard}.jsonl", rows)
        else:
            parquet.write_table(pa.Table.from_pylist(rows), folder / f"train-{shard}.parquet", row_group_size=16)
    choice = f"streaming={streaming}"
    whole, *stopped, rest = client.answers(
        [
            ("windows", DATA_SET, str(tmp_path / "whole"), choice),
            ("windows", DATA_SET, str(tmp_path / "stopped"), "stop=3", choice),
            ("windows", DATA_SET, str(tmp_path / "stopped"), "stop=17", choice),
            ("windows", DATA_SET, str(tmp_path / "stopped"), choice),
        ]
    )
    assert [answer["batches"] for answer in stopped] == [3, 17]
    assert rest["batches"] == whole["batches"] - 20  # nothing is read a second time
    assert rest["tokens"] == whole["tokens"]
    assert rest["held_out"] == whole["held_out"]


def test_whole_data_set_is_downloaded_once(hub: LoopbackHub, client: Client, tales: Path, tmp_path: Path) -> None:
    command = ("windows", DATA_SET, str(tmp_path / "first"), "streaming=no")
    streamed = client("windows", DATA_SET, str(tmp_path / "streamed"))
    first = client(*command)
    hub.requests.clear()
    again = client("windows", DATA_SET, str(tmp_path / "again"), "streaming=no")
    assert first["tokens"] == again["tokens"] == streamed["tokens"]
    assert not [request for request in hub.requests if request.startswith("GET") and "train.jsonl" in request]


def test_conversations_of_a_data_set(hub: LoopbackHub, client: Client, tales: Path) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    _write(tales / "data" / "train.jsonl", [{"messages": messages, "n": 1}, {"messages": [], "n": 2}])
    (text,) = client("documents", DATA_SET, "5", "chat=yes")["texts"]
    assert json.loads(text) == messages


def test_busy_hub_is_asked_again(hub: LoopbackHub, client: Client, tales: Path) -> None:
    hub.fail_next("/api/datasets/tiny/tales", 503, times=1)
    hub.fail_next("train.jsonl", 503, times=1)
    assert len(client("documents", DATA_SET, "5")["texts"]) == 5


def test_characters_that_no_text_has_are_replaced(hub: LoopbackHub, client: Client, tales: Path) -> None:
    _write(tales / "data" / "train.jsonl", [{"text": "a\0b"}])
    assert client("documents", DATA_SET, "5")["texts"] == ["a\ufffdb"]


def test_data_set_that_cannot_be_read_gets_a_sentence(hub: LoopbackHub, client: Client, tales: Path) -> None:
    (hub.root / "datasets" / "tiny" / "empty").mkdir()
    (hub.root / "datasets" / "tiny" / "empty" / "README.md").write_text("Nothing here.")
    sentences = {
        ("tiny/unheard-of", "split=train"): "The hub has no data set “tiny/unheard-of”",
        (DATA_SET, "split=dev"): "has no split “dev”; choose one of",
        (DATA_SET, "column=body"): "There is no column “body”; the columns are: text, stars",
        (DATA_SET, "column=stars"): "holds int values, not text",
        (DATA_SET, "configuration=large"): "has no configuration “large”; choose one of default",
        (DATA_SET, "revision=old"): "has no such revision",
        ("tiny/empty", "split=train"): "holds nothing that can be read as rows of text",
    }
    answers = client.answers([("documents", hub_id, "5", choice) for hub_id, choice in sentences])
    for answer, sentence in zip(answers, sentences.values(), strict=True):
        assert sentence in answer["sentence"]
        assert answer["error"] in {"HubError", "CorpusError", "MissingColumn"}
        assert "\n" not in answer["sentence"]


def test_several_configurations_ask_for_a_choice(client: Client, tales: Path) -> None:
    configurations = [{"config_name": name, "data_files": f"data/{name}.jsonl"} for name in ("train", "test")]
    (tales / "README.md").write_text(f"---\nconfigs: {json.dumps(configurations)}\n---\n")
    commands = [("documents", DATA_SET, "5"), ("documents", DATA_SET, "5", "configuration=test")]
    without_choice, chosen = client.answers(commands)
    assert "several configurations; choose one of train, test" in without_choice["sentence"]
    assert chosen["texts"] == ["A tale to be tested with."]


def test_code_in_a_data_set_is_never_run(hub: LoopbackHub, client: Client, tmp_path: Path) -> None:
    folder = hub.root / "datasets" / "tiny" / "script"
    folder.mkdir(parents=True)
    (folder / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "needs its own Python code" in client("documents", "tiny/script", "5")["sentence"]
    assert not (tmp_path / "ran").exists()


def test_machine_without_a_network_is_told_what_to_do(client: Client) -> None:
    answer = client("documents", DATA_SET, "5", url="http://127.0.0.1:9")
    assert answer["error"] == "HubUnreachableError"
    assert "upload the text as a file" in answer["sentence"]
