"""Our sides of the benchmarks do their work, on tiny sizes; nothing here is timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import inputs
from benchmarks.comparisons import _starting_weights
from benchmarks.ours import end_to_end, grown, harvest, quality, sweep
from benchmarks.peers.gemm import Gemm
from benchmarks.spec import Spec
from tests.engine.tiny_models import TEXT, save_tiny_model

TINY = Spec(d_in=32, d_sae=64, k=4, batch=16, seq=16, layer=1, threads=1, heldout=32, warmup=0)

LEAST_BATCH = 128  # eight of which are the fewest tokens that an experiment may be trained on


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, and a text in place of the benchmarks' own."""
    text = tmp_path / "text.txt"
    text.write_text("\n<|endoftext|>\n".join(TEXT * 40))
    for module in (end_to_end, sweep):
        monkeypatch.setattr(module, "TEXT", text)
        monkeypatch.setattr(module, "INPUTS", tmp_path)
    monkeypatch.setattr(inputs, "TEXT", text)
    monkeypatch.setattr(inputs, "INPUTS", tmp_path)
    return save_tiny_model(tmp_path / "tiny", "gpt2")


def test_end_to_end_trains_at_least_two_segments(model: Path) -> None:
    spec = TINY.but(mode="e2e", model=str(model), batch=LEAST_BATCH)
    answer = end_to_end.EndToEnd(spec).run(1)
    assert answer["tokens"] == end_to_end.LEAST_STEPS * spec.batch
    assert answer["seconds"] > 0


@pytest.mark.parametrize("members", [1, 3])
def test_all_members_of_a_sweep_are_trained(model: Path, members: int) -> None:
    spec = TINY.but(mode="e2e", model=str(model), variant=str(members), batch=LEAST_BATCH)
    answer = sweep.Sweep(spec).run(8)
    assert (answer["tokens"], answer["members"]) == (8 * spec.batch, members)


def test_the_harvest_keeps_every_activation(model: Path, tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(3, 400, (4, TINY.seq), dtype=np.int32)
    np.save(tmp_path / "tokens.npy", tokens)
    spec = TINY.but(mode="e2e", model=str(model), tokens=str(tmp_path / "tokens.npy"))
    answer = harvest.Harvest(spec).run(1)
    assert answer["tokens"] == tokens.size
    assert 0 < answer["activations"] <= tokens.size * spec.k


@pytest.mark.parametrize("decay", [0, 8])
def test_the_side_for_quality_learns_from_the_weights_it_is_given(
    decay: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "INPUTS", tmp_path)
    states = inputs.synthetic_states(TINY.d_in, TINY.batch, TINY.heldout)
    spec = TINY.but(acts=str(states), lr=1e-3, steps=40, decay=decay)
    side = quality.Steps(spec.but(init=_starting_weights(spec)))
    before = side.fvu()
    side.run(spec.steps)
    assert side.fvu() < before


def test_synthetic_states_are_made_once_and_have_a_mean_square_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "INPUTS", tmp_path)
    path = inputs.synthetic_states(TINY.d_in, TINY.batch, TINY.heldout)
    written = path.stat().st_mtime_ns
    states = np.load(path)
    assert states.shape == (inputs.BATCHES * TINY.batch + TINY.heldout, TINY.d_in)
    assert np.square(states).mean() == pytest.approx(1.0, rel=1e-4)
    assert inputs.synthetic_states(TINY.d_in, TINY.batch, TINY.heldout).stat().st_mtime_ns == written


def test_the_limit_of_the_machine_is_a_matrix_product() -> None:
    answer = Gemm(TINY.but(variant="bfloat16")).run(1)
    assert answer["gflops"] > 0


def test_growth_measures_parts_and_memory(model: Path, tmp_path: Path) -> None:
    model.rename(tmp_path / "model")
    found = grown._trained(tmp_path, grown.Size(tokens=8_192, features=32, width=32, context_length=32, threads=1))
    assert found["total"] > 0
    assert found["rss_mb"] > 0
    assert set(found["seconds"]) == {"capture", "training"}
