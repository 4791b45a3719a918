"""The step benchmark speaks the protocol of a harness: BENCH_SPEC in, one line of JSON out; and is a side of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import inputs
from benchmarks.ours.steps import Steps
from benchmarks.spec import OF_OUR_WORKERS, Spec
from tests.architecture.repository import ROOT


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.setattr(inputs, "INPUTS", tmp_path)
    states = inputs.synthetic_states(32, 64, 64)
    return Spec(d_in=32, d_sae=128, k=4, batch=64, heldout=64, threads=1, acts=str(states), steps=2)


@pytest.mark.processes
def test_the_last_line_is_what_the_protocol_asks_for(spec: Spec) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.step"],
        cwd=ROOT,
        env=os.environ | OF_OUR_WORKERS | {"BENCH_SPEC": spec.as_text()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer.keys() == {"tokens_per_s", "fvu", "rss_mb", "path"}
    assert answer["tokens_per_s"] > 0
    assert 0 < answer["fvu"] < 2


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "relu"])
@pytest.mark.parametrize("variant", ["", "float32", "dead"])
def test_our_side_trains_every_architecture_in_every_variant(spec: Spec, architecture: str, variant: str) -> None:
    side = Steps(spec.but(arch=architecture, variant=variant))
    answer = side.run(2)
    assert (answer["tokens"], answer["path"] != "") == (2 * spec.batch, True)
    assert side.fvu() > 0
    assert answer["path"].startswith("float32") or variant != "float32"
