"""`manage.py sweep` with scripted engines: what it prints, what it leaves behind, and how it says no."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.management.commands.sweep import SHOWN
from experiments.models import Experiment, Sweep
from experiments.services.sweeps import members_of
from experiments.signals import experiment_finished
from latentlens.lib import shutdown
from tests.experiments.conftest import FakeEngine
from tests.experiments.test_sweep_runner import FakeSweep, fake

__all__ = ["fake"]

Status = Experiment.Status
SMALL = ["--n-features", "64", "--tokens", "40960", "--layer", "1"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Any:
    monkeypatch.setattr(experiment_finished, "receivers", [])
    monkeypatch.setattr("experiments.progress.SECONDS_BETWEEN_WRITES", 0.0)
    yield
    shutdown._requested.clear()  # the wish to stop is remembered by the process; other tests must not see it


def test_it_trains_all_and_prints_a_table(
    fake: FakeSweep, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("sweep", *SMALL, "--k", "4,16", "--seed", "0 1")
    sweep, (out, err) = Sweep.objects.get(), capsys.readouterr()
    assert list(members_of(sweep).values_list("status", flat=True)) == [Status.FINISHED] * 4
    head, *rows, address = out.splitlines()
    assert head.split() == list(SHOWN)
    assert len(rows) == 4
    assert all(row.split()[-4:] == ["4", "0.934", "0.992", "0.031"] for row in rows)
    assert len({row.rindex("0.934") for row in rows} | {head.index("explained_variance") + 13}) == 1  # one column
    assert address.endswith(sweep.get_absolute_url())
    assert err.count("evaluation finished") == 4


def test_with_json_it_prints_what_the_api_answers_and_nothing_else(
    fake: FakeSweep, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("sweep", *SMALL, "--k", "4,16", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (len(answer["experiments"]), answer["request"]["k"]) == (2, ["4", "16"])


def test_ctrl_c_pauses_all_and_resume_goes_on(
    fake: FakeSweep, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.before[2] = shutdown.request
    with pytest.raises(CommandError, match=r"Go on with: manage.py sweep --resume") as stopped:
        call_command("sweep", *SMALL, "--k", "4,16")
    assert stopped.value.returncode == 130
    members = members_of(Sweep.objects.get())
    assert list(members.values_list("status", "checkpoint")) == [(Status.PAUSED, "step-2.safetensors")] * 2
    assert "–" in capsys.readouterr().out  # not measured yet
    shutdown._requested.clear()
    fake.before.clear()
    call_command("sweep", "--resume", str(Sweep.objects.get().pk))
    assert list(members.values_list("status", flat=True)) == [Status.FINISHED] * 2


def test_it_steps_back_as_a_worker_does(
    fake: FakeSweep, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    asked: list[tuple[int, ...]] = []
    settings.TRAINING_NICENESS = 19
    monkeypatch.setattr(os, "setpriority", lambda *call: asked.append(call))
    call_command("sweep", *SMALL, "--k", "4,16")
    assert asked == [(os.PRIO_PROCESS, 0, 19)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "4,many"], "k must be a whole number"),
        (["--k", "4,65"], "cannot exceed the number of features"),
        (["--seed", " ".join(map(str, range(65)))], "a sweep has at most 64"),
        (["--resume", "9"], "There is no sweep 9"),
    ],
)
def test_mistakes_end_in_one_sentence(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("sweep", *SMALL, *arguments)
    assert not Sweep.objects.exists()


def test_one_that_fails_is_said(fake: FakeSweep, engine: FakeEngine) -> None:
    fake.failing[0] = (2, MemoryError())
    with pytest.raises(CommandError, match="1 of the experiments did not finish; their pages say why"):
        call_command("sweep", *SMALL, "--k", "4,16")
