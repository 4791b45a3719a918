"""The runner with the engine's own lens: a real model folder, real weights, real tokens."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from experiments.services.folders import experiment_folder
from lens import runner
from tests.lens.conftest import read_now
from tests.lens.real_experiment import CONTEXT, FEATURES, K, make_real_experiment

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]


@pytest.fixture(autouse=True)
def _fresh_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing resident from another test, and one thread."""
    runner._resident.cache_clear()
    monkeypatch.setattr(runner, "cpu_threads", lambda: 1)
    torch.set_num_threads(1)


def test_a_prompt_becomes_tokens_with_features() -> None:
    answered = read_now(make_real_experiment(), "The dog sat on the mat.", top_k=3)
    assert answered.error == ""
    special, *tokens = answered.result["tokens"]
    assert special == {
        "text": "<|endoftext|>",
        "special": True,
        "active_count": 0,
        "relative_error": None,
        "features": [],
    }
    assert "".join(token["text"] for token in tokens) == "The dog sat on the mat."
    for token in tokens:
        activations = [activation for _, activation in token["features"]]
        assert activations == sorted(activations, reverse=True)
        assert all(0 <= index < FEATURES for index, _ in token["features"])
        assert len(activations) == min(3, token["active_count"])
        assert token["active_count"] <= K
        assert math.isfinite(token["relative_error"])


def test_an_encoder_can_be_read_too() -> None:
    answered = read_now(make_real_experiment(family="bert"), "the dog sat")
    assert [token["special"] for token in answered.result["tokens"]] == [True, False, False, False, True]


def test_a_prompt_longer_than_the_context_says_how_many_tokens() -> None:
    answered = read_now(make_real_experiment(), " dog" * CONTEXT)
    assert answered.status == "failed"
    assert f"{CONTEXT + 1} tokens" in answered.error
    assert str(CONTEXT) in answered.error


def test_experiments_on_one_model_are_both_resident() -> None:
    one, other = make_real_experiment(), make_real_experiment(seed=1)
    first, second = read_now(one, "The dog"), read_now(other, "The dog")
    assert first.result != second.result
    assert runner._resident().experiments == [one.pk, other.pk]


@pytest.mark.parametrize("lost", ["weights", "sae_config"])
def test_lost_files_become_a_sentence_without_a_path(lost: str, data_dir: Path) -> None:
    experiment = make_real_experiment()
    getattr(experiment_folder(experiment.pk), lost).unlink()
    answered = read_now(experiment, "The dog")
    assert answered.status == "failed"
    assert "start the experiment again" in answered.error
    assert str(data_dir) not in answered.error


def test_a_model_that_was_taken_away_becomes_a_sentence_without_a_path(data_dir: Path) -> None:
    experiment = make_real_experiment()
    (data_dir / "models" / "gpt2" / "config.json").unlink()
    answered = read_now(experiment, "The dog")
    assert answered.status == "failed"
    assert answered.error.count(".") >= 1
    assert str(data_dir) not in answered.error
