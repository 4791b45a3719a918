"""`manage.py train` with the scripted engine: what it prints, what it leaves behind, and how it says no."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Experiment, Metric
from experiments.services import leases
from experiments.signals import experiment_finished
from latentlens.lib import shutdown
from tests.experiments.conftest import FakeEngine

pytestmark = pytest.mark.django_db(transaction=True)
Status = Experiment.Status
SMALL = ["--n-features", "64", "--k", "4", "--tokens", "40960"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setattr(experiment_finished, "receivers", [])
    monkeypatch.setattr("experiments.progress.SECONDS_BETWEEN_WRITES", 0.0)


@pytest.fixture
def not_shut_down() -> Any:
    """The wish to stop is remembered by the process; other tests must not see it."""
    yield
    shutdown._requested.clear()


def train(*arguments: str) -> None:
    call_command("train", *arguments, *([] if "--resume" in arguments else SMALL))


def test_it_trains_and_prints_a_summary(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    train("--layer", "1", "--seed", "5", "--name", "Mine")
    experiment = Experiment.objects.get()
    out, err = capsys.readouterr()
    assert (experiment.status, experiment.seed, experiment.owner) == (Status.FINISHED, 5, "")
    assert Metric.objects.count() == 10
    assert "Explained variance" in out
    assert "0.934" in out
    assert f"/experiments/{experiment.pk}/" in out
    assert "training finished" in err


def test_it_steps_back_as_a_worker_does(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    asked: list[tuple[int, ...]] = []
    settings.TRAINING_NICENESS = 19
    monkeypatch.setattr(os, "setpriority", lambda *call: asked.append(call))
    train()
    assert asked == [(os.PRIO_PROCESS, 0, 19)]


def test_with_json_it_prints_what_the_api_answers_and_nothing_else(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"], answer["quality"]["l0"], answer["layer"]) == ("finished", 4.0, 2)  # the middle layer


def test_a_corpus_from_a_file(engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "tales.txt").write_text("A paragraph that goes on.\n\n" * 30)
    train("--corpus", str(tmp_path / "tales.txt"))
    assert Experiment.objects.get().corpus.name == "tales.txt"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layer", "9"], "layers 0 to 3"),
        (["--layer", "NaN"], "layer must be a whole number"),
        (["--k", "65"], "cannot exceed the number of features"),
        (["--n-features", "256,512"], "n_features takes one value, written without commas; to compare several"),
        (["--k", "16,32"], "k takes one value, written without commas; to compare several, start a sweep"),
        (["--architecture", "topk, relu"], "architecture takes one value, written without commas; to compare"),
        (["--sparsity-coefficient", "0.1 0.2"], "sparsity_coefficient takes one value"),
        (["--seed", "-1"], "seed must be a whole number"),
        (["--learning-rate", "inf"], "learning_rate must be a number"),
        (["--model", "/etc/passwd"], "no path, no URL"),
        (["--model", "local:ghost"], "There is no folder “ghost”"),
        (["--model", "hub:org/unseen"], "Choose a layer"),
        (["--site", "hook"], "The site must be one of"),
        (["--architecture", "magic"], "The architecture must be one of"),
        (["--corpus", "/nowhere/at-all.txt"], "cannot be read"),
        (["--corpus", "hub:../x"], "name or org/name"),
        (["--resume", "77"], "There is no experiment 77"),
    ],
)
def test_bad_input_is_a_sentence(engine: FakeEngine, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("train", *SMALL, *arguments)
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("content", [b"", b"nul\0", b"\xff\xfe\xfa", b"tiny"])
def test_a_bad_corpus_file_is_a_sentence(engine: FakeEngine, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(CommandError) as caught:
        train("--corpus", str(tmp_path / "bad.txt"))
    assert str(caught.value).endswith(".")


def test_ctrl_c_leaves_a_paused_experiment_that_resume_finishes(engine: FakeEngine, not_shut_down: None) -> None:
    engine.during[6] = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(CommandError, match=r"train --resume \d+") as caught:
        train()
    experiment = Experiment.objects.get()
    assert caught.value.returncode == 130
    assert (experiment.status, experiment.checkpoint) == (Status.PAUSED, "step-5.safetensors")
    shutdown._requested.clear()
    engine.during.clear()
    train("--resume", str(experiment.pk))
    experiment.refresh_from_db()
    assert experiment.status == Status.FINISHED
    assert engine.resumed_at[-1] == ("training", "step-5.safetensors")
    assert sorted(Metric.objects.values_list("step", flat=True)) == list(range(1, 11))


def test_a_second_ctrl_c_does_not_wait(engine: FakeEngine, not_shut_down: None) -> None:
    for record in (4, 5):
        engine.during[record] = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(CommandError, match="Paused"):
        train()
    experiment = Experiment.objects.get()
    assert (experiment.status, experiment.checkpoint) == (Status.PAUSED, "")


def test_a_failure_is_a_sentence(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.script = [KeyError("inside")]
    with pytest.raises(CommandError, match="Something unexpected happened"):
        train()
    assert "Traceback" not in "".join(capsys.readouterr())


def test_only_what_is_interrupted_is_resumed(engine: FakeEngine, make_experiment: Callable[..., Experiment]) -> None:
    experiment = make_experiment()
    leases.claim(experiment.pk, "a worker")
    with pytest.raises(CommandError, match="is running; only a paused or failed one"):
        train("--resume", str(experiment.pk))


def test_how_the_corpus_is_read_is_said_by_flags(engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl.gz"
    messages = [{"role": "user", "content": "Hello there, and once upon a time."}]
    path.write_bytes(gzip.compress((json.dumps({"messages": messages}) + "\n").encode() * 9))
    train("--corpus", str(path), "--chat", "--deduplicate", "--no-streaming", "--packing", "one_document")
    experiment = Experiment.objects.get()
    read = experiment.config["corpus"]
    assert (read["chat_template"], read["deduplicate"], read["streaming"]) == (True, True, False)
    assert experiment.config["packing"] == "one_document"
    assert experiment.corpus.file.endswith(".jsonl.gz")
