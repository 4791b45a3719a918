"""Whatever the members of a sweep differ in, the model reads the text once for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from experiments.engine.language_model import LanguageModel
from experiments.models import Experiment
from experiments.services import corpora
from experiments.services.leases import claim_with_its_sweep
from experiments.services.sweeps import SweepRequest, members_of, store_sweep
from experiments.services.typed_settings import LISTED
from experiments.sweep_runner import train_side_by_side
from tests.engine.tiny_models import save_tiny_model

Status = Experiment.Status
# Two values of each, the deeper layer in both sweeps that are compared: a forward stops at the deepest layer.
AXES: dict[str, tuple[dict[str, str], str]] = {
    "architecture": ({"architecture": "batchtopk"}, "batchtopk, matryoshka"),
    "layer": ({"layer": "2"}, "2, 0"),
    "n_features": ({"n_features": "32"}, "32, 48"),
    "k": ({"k": "4"}, "4, 2"),
    "sparsity_coefficient": ({"architecture": "relu", "sparsity_coefficient": "0.1"}, "0.1, 0.3"),
    "seed": ({"seed": "0"}, "0, 1"),
}
SHARED: dict[str, Any] = {
    "model": "tiny",
    "layer": 2,
    "n_features": 32,
    "k": 4,
    "training_tokens": 4096,
    "batch_tokens": 64,
    "segment_tokens": 1024,
    "context_length": 16,
    "threshold_tokens": 256,
}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corpus(data_dir: Path) -> int:
    save_tiny_model(data_dir / "models" / "tiny", "llama")
    text = "\n\n".join(f"Tale {number}: the cat saw {number * 7 % 31} birds and slept. " * 5 for number in range(60))
    return corpora.add_upload(SimpleUploadedFile("tales.txt", text.encode())).pk


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tokens of every forward of the model."""
    counted: list[int] = []
    forward = LanguageModel.hidden_states

    def counting(model: LanguageModel, tokens: Any, *others: Any) -> Any:
        counted.append(tokens.size)
        return forward(model, tokens, *others)

    monkeypatch.setattr(LanguageModel, "hidden_states", counting)
    return counted


def train(corpus: int, lists: dict[str, str]) -> list[Experiment]:
    shared = {name: value for name, value in SHARED.items() if name not in lists}
    sweep = store_sweep(SweepRequest(shared | {"corpus": corpus}, lists), Status.PAUSED)
    claimed = claim_with_its_sweep(members_of(sweep)[0].pk, "tests", [Status.PAUSED])
    train_side_by_side(claimed, "tests", after_training=Status.PAUSED)
    members = list(members_of(sweep))
    assert [(member.stage, member.error) for member in members] == [("evaluation", "")] * len(members)
    return members


def test_every_setting_that_may_have_several_values_is_tried() -> None:
    assert tuple(AXES) == LISTED


@pytest.mark.parametrize("axis", AXES)
def test_the_model_reads_the_text_once_for_all_values(corpus: int, forwards: list[int], axis: str) -> None:
    lists, values = AXES[axis]
    (alone,) = train(corpus, lists)
    of_one = list(forwards)
    forwards.clear()
    members = train(corpus, lists | {axis: values})
    assert forwards == of_one
    assert len({member.weights_sha256 for member in members}) == len(members) == 2
    assert alone.weights_sha256 in {member.weights_sha256 for member in members}
    for member in members:
        assert list(member.resources) == ["capture", "training"]
        assert {stage["experiments"] for stage in member.resources.values()} == {2}
