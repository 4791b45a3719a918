"""Two processes, connected by gloo, train what one trains alone; and the command that starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experiments.engine.artifacts import ExperimentFolder, sha256_of, write_json
from experiments.engine.config import as_json
from experiments.engine.processes import ALONE
from experiments.engine.train import REFUSED, main
from tests.engine.shared_training import KINDS, trained
from tests.engine.test_pipeline import job_in, write_corpus
from tests.engine.tiny_models import save_tiny_model

ROOT = Path(__file__).parents[2]


def run_two(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def weights_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    done = run_two("tests.engine.shared_training", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_what_one_trains(weights_of_two: Path, kind: str) -> None:
    first, second = (load_file(weights_of_two / f"{kind}-{rank}.safetensors") for rank in range(2))
    alone = trained(kind, ALONE)
    assert set(first) == set(alone)
    assert int(alone["steps that revived features"]) > 0
    for name, weight in alone.items():
        assert first[name].equal(second[name]), name
        torch.testing.assert_close(
            first[name], weight, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A small experiment, as the command is told about it; it saves a checkpoint at every other step."""
    save_tiny_model(tmp_path / "model", "llama")
    write_corpus(tmp_path / "corpus.txt")
    config = job_in(tmp_path, tmp_path).config
    training = replace(config.training, tokens=2_560, threshold_tokens=200, checkpoint_seconds=0.001)
    sae = replace(config.sae, architecture="batchtopk")
    write_json(tmp_path / "config.json", as_json(replace(config, training=training, sae=sae)))
    files = ["--model", str(tmp_path / "model"), "--corpus", str(tmp_path / "corpus.txt")]
    return [str(tmp_path / "config.json"), *files, "--cache", str(tmp_path / "cache"), "--threads", "1"]


def test_the_command_trains_with_two_processes_as_with_one(tmp_path: Path, arguments: list[str]) -> None:
    shared, alone = ExperimentFolder(tmp_path / "shared"), ExperimentFolder(tmp_path / "alone")
    done = run_two("experiments.engine.train", *arguments, "--folder", str(shared.path))
    assert done.returncode == 0, done.stderr
    assert main([*arguments, "--folder", str(alone.path)]) == 0

    told = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [record for record in told if record["record"] == "StageFinished"]
    assert [end["stage"] for end in ends] == ["capture", "training", "evaluation", "harvest"]  # by the first alone
    assert ends[1]["values"]["weights_sha256"] == sha256_of(shared.weights)
    for folder in (shared, alone):
        assert folder.features.exists()
    left, right = load_file(shared.weights), load_file(alone.weights)
    for name, weight in right.items():
        torch.testing.assert_close(left[name], weight, rtol=1e-2, atol=1e-3)


def test_the_same_command_goes_on_from_the_last_checkpoint(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ExperimentFolder(tmp_path / "again")
    assert main([*arguments, "--folder", str(folder.path)]) == 0
    before = sha256_of(folder.weights)
    folder.weights.unlink()
    capsys.readouterr()
    assert main([*arguments, "--folder", str(folder.path)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sha256_of(folder.weights) == before
    assert "capture" not in {record.get("stage") for record in told}


def test_what_cannot_be_run_is_a_sentence(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path(arguments[0]).read_text())
    Path(arguments[0]).write_text(json.dumps(document | {"layer": 7}))
    assert main([*arguments, "--folder", str(tmp_path / "out")]) == REFUSED
    assert "layers 0 to 2, so layer 7 does not exist" in capsys.readouterr().err
