"""Sweeps: from lists of values to experiments that share their text, and every mistake in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from experiments.models import Experiment, Sweep
from experiments.services import estimates, sweeps
from experiments.services.sweeps import SweepRequest, create_sweep
from latentlens.lib.problems import Refused
from tests.experiments.conftest import SMALL

Make = Callable[..., Experiment]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def enqueued(data_dir: object, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The experiments that workers were told of."""
    told: list[int] = []
    monkeypatch.setattr(sweeps, "enqueue", told.append)
    return told


def wanted(shared: dict[str, Any] | None = None, **lists: Any) -> SweepRequest:
    return SweepRequest(SMALL | (shared or {}), lists)


def refusal(request: SweepRequest) -> Refused:
    with pytest.raises(Refused) as caught:
        create_sweep(request)
    assert not Sweep.objects.exists()
    assert not Experiment.objects.exists()
    return caught.value


def test_every_value_is_combined_with_every_other(enqueued: list[int]) -> None:
    sweep = create_sweep(wanted(k="2, 4", seed=[0, 5], layer="1 3"))
    members = list(sweeps.members_of(sweep))
    found = [(member.layer, member.k, member.seed) for member in members]
    assert sorted(found) == sorted((layer, k, seed) for layer in (1, 3) for k in (2, 4) for seed in (0, 5))
    assert {member.config["stream_seed"] for member in members} == {0}
    assert enqueued == [member.pk for member in members]
    assert sweep.name == "builtin · 8 experiments over layer, k, seed"
    assert members[0].name == "builtin · layer 1 · TopK 64 · k 2 · seed 0"


def test_a_name_that_was_given_is_that_of_all() -> None:
    sweep = create_sweep(SweepRequest(SMALL, {"k": "2, 4", "architecture": "topk, relu"}, name="Mine"))
    names = {member.name for member in sweeps.members_of(sweep)}
    assert names == {"Mine · TopK · k 2", "Mine · TopK · k 4", "Mine · ReLU + L1"}


def test_a_value_that_does_not_matter_makes_no_further_experiment() -> None:
    """A ReLU SAE has no k, and TopK no sparsity coefficient: 2 + 3, and not 2 * 2 * 3."""
    sweep = create_sweep(wanted(architecture="topk, relu", k="2, 4", sparsity_coefficient="0.1, 0.2, 0.3"))
    found = [(m.architecture, m.k, m.config["sae"]["sparsity_coefficient"]) for m in sweeps.members_of(sweep)]
    assert [(name, k) for name, k, _ in found if name == "topk"] == [("topk", 2), ("topk", 4)]
    assert [price for name, _, price in found if name == "relu"] == [0.1, 0.2, 0.3]
    assert any(
        name.endswith("ReLU + L1 64 · sparsity 0.2") for name in sweep.experiments.values_list("name", flat=True)
    )


def test_repeated_values_count_once() -> None:
    assert create_sweep(wanted(k="4, 4, 2")).experiments.count() == 2


@pytest.mark.parametrize(
    ("lists", "field", "words"),
    [
        ({"k": "4, many"}, "k", "k must be a whole number"),
        ({"k": "4, 65"}, "k", "cannot exceed the number of features (64)"),
        ({"layer": "0, 4"}, "layer", "layers 0 to 3, so layer 4 does not exist"),
        ({"architecture": "topk, magic"}, "architecture", "must be one of topk"),
        ({"site": "resid_pre, resid_post"}, "site", "Only architecture, layer, n_features, k"),
    ],
)
def test_a_mistake_is_one_sentence_beside_its_field(lists: dict[str, str], field: str, words: str) -> None:
    found = refusal(wanted(**lists))
    assert words in found.fields[field]
    assert found.message.count(".") == found.fields[field].count(".")


def test_mistakes_in_what_is_shared_are_said_too() -> None:
    assert "training_tokens" in refusal(wanted({"training_tokens": 1}, k="2, 4")).fields


def test_a_sweep_has_at_most_64_experiments() -> None:
    assert create_sweep(wanted(seed=list(range(64)))).experiments.count() == 64
    Sweep.objects.all().delete()
    Experiment.objects.all().delete()
    assert refusal(wanted(seed=list(range(13)), k="1 2 3 4 5")).message == (
        "These are 65 experiments; a sweep has at most 64."
    )


def test_memory_is_counted_for_all_members_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them fits, and so do two; not the eight, which have two segments and eight SAEs."""
    monkeypatch.setattr(estimates, "memory_bytes", lambda: 1_000_000_000)
    shared = {"n_features": 4096, "harvest_tokens": 500_000}
    assert create_sweep(wanted(shared, seed="0, 1")).experiments.count() == 2
    Sweep.objects.all().delete()
    Experiment.objects.all().delete()
    message = refusal(wanted(shared, seed="0, 1, 2, 3", layer="0, 1")).message
    assert message.startswith("Side by side these 8 experiments would need about")


def test_deleting_an_experiment_leaves_the_sweep_and_the_other_way_round() -> None:
    sweep = create_sweep(wanted(k="2, 4"))
    sweeps.members_of(sweep)[0].delete()
    assert sweeps.sweeps_with_counts().get().experiment_count == 1  # type: ignore[attr-defined]
    sweep.delete()
    assert Experiment.objects.get().sweep is None
