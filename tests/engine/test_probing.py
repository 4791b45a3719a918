"""Probes on codes written by hand, against slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from experiments.engine.kernels import DenseCode
from experiments.engine.logistic import fit_probe
from experiments.engine.probe_sample import SampledTokens
from experiments.engine.probing import Probing, probe_concept, strongest_features

Floats = NDArray[np.float64]


@pytest.mark.parametrize("numbers", [3, 80])  # fewer and more than tokens
def test_a_probe_is_at_the_least_of_its_cost(numbers: int) -> None:
    random = np.random.default_rng(numbers)
    inputs = random.normal(3, [1.0 + n for n in range(numbers)], (60, numbers))
    carries = inputs[:, 0] + random.normal(0, 0.5, 60) > 3
    probe = fit_probe(inputs, carries)

    scale = inputs.std(0)
    standard, signs = torch.from_numpy((inputs - inputs.mean(0)) / scale), torch.from_numpy(np.where(carries, 1.0, -1))
    weights = torch.zeros(numbers + 1, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([weights], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        descent.zero_grad()
        logits = standard @ weights[:-1] + weights[-1]
        loss = functional.softplus(-signs * logits).sum() + weights[:-1].square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    descent.step(cost)
    assert probe.direction * scale == pytest.approx(weights[:-1].detach().numpy(), abs=1e-5)
    expected = (standard @ weights[:-1] + weights[-1] > 0).numpy()
    assert (probe.finds(inputs) == expected).all()


def sample_of(dense: Floats, states: Floats, flags: NDArray[np.bool_]) -> SampledTokens:
    """Documents of five tokens each, given in batches of 64; nothing is special."""
    documents = (np.arange(len(dense)) // 5).astype(np.int32)
    sample = SampledTokens(flags, documents, np.ones(len(dense), bool))
    activations = torch.from_numpy(dense).float()
    for rows in torch.arange(len(dense)).split(64):
        code = DenseCode(activations[rows], activations[rows] > 0).firing()
        sample.add(rows.numpy(), torch.from_numpy(states[rows.numpy()]).float(), code)
    sample.close()
    return sample


def case(seed: int = 0, tokens: int = 1_500) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Concept 0 is feature 2; concept 1 is the difference of features 0 and 1; concept 2 has next to no carrier."""
    random = np.random.default_rng(seed)
    dense = random.random((tokens, 6)) * (random.random((tokens, 6)) < 0.5)
    flags = np.stack([dense[:, 2] > 0, dense[:, 0] > dense[:, 1] + 0.1, np.arange(tokens) < 3], 1)
    return dense, random.normal(size=(tokens, 4)), flags


def test_what_was_sampled_is_what_was_given() -> None:
    dense, states, flags = case()
    sample = sample_of(dense, states, flags)
    split = sample.split(0, odd=True)
    assert (sample.flags[split.rows, 0] == split.carries).all()
    assert sample.odd[split.rows].all()
    assert split.carries.sum() == 100 == (~split.carries).sum()
    found = sample.columns(split.rows, np.arange(6))
    for row, state in zip(found, sample.states[split.rows], strict=True):
        token = int(np.flatnonzero(np.isclose(states, state, atol=1e-6).all(1))[0])
        assert row == pytest.approx(dense[token], abs=1e-6)
    assert sample.sums(split.rows, 6) == pytest.approx(found.sum(0))


def test_a_token_that_was_not_read_is_not_in_a_split() -> None:
    """Outliers are left out of the reading: here every third token."""
    dense, states, flags = case()
    sample = SampledTokens(flags, (np.arange(1_500) // 5).astype(np.int32), np.ones(1_500, bool))
    read = np.flatnonzero(np.arange(1_500) % 3 > 0)
    activations = torch.from_numpy(dense[read]).float()
    sample.add(read, torch.from_numpy(states[read]), DenseCode(activations, activations > 0).firing())
    sample.close()
    split = sample.split(0, odd=False)
    assert 40 < split.carries.sum() < 90
    assert (sample.flags[split.rows, 0] == split.carries).all()


def test_the_strongest_features_are_those_of_the_largest_difference_of_means() -> None:
    dense, states, flags = case()
    sample = sample_of(dense, states, flags)
    split = sample.split(1, odd=False)
    columns = sample.columns(split.rows, np.arange(6))
    difference = np.abs(columns[split.carries].mean(0) - columns[~split.carries].mean(0))
    assert strongest_features(sample, split, 6).tolist() == np.argsort(-difference).tolist()
    assert set(strongest_features(sample, split, 6)[:2]) == {0, 1}


def test_a_concept_of_one_feature_is_read_off_one_and_a_difference_off_two() -> None:
    sample = sample_of(*case())
    probing = Probing(sample)
    for concept, name in enumerate(("one", "two", "none")):
        probing.add(name, probe_concept(sample, concept, 6))
    found = probing.summary()
    one, two = found["rows"]
    assert one["k1"] > 0.9
    assert two["k1"] + 0.05 < two["k2"]
    assert two["k2"] > 0.85
    assert abs(one["dense"] - 0.5) < 0.12  # the hidden states here are noise
    assert found["k1"] == pytest.approx((one["k1"] + two["k1"]) / 2)
    assert found["skipped"] == 1


def test_the_interval_of_the_accuracy_is_of_documents_drawn_again() -> None:
    sample = sample_of(*case())
    probe = probe_concept(sample, 1, 6)
    assert probe is not None
    probing = Probing(sample)
    probing.add("two", probe)

    few = fit_probe(sample.columns(probe.fitting.rows, probe.features[:1]), probe.fitting.carries)
    right = few.finds(sample.columns(probe.testing.rows, probe.features[:1])) == probe.testing.carries
    documents, of = np.unique(sample.documents, return_inverse=True)
    own = of[probe.testing.rows]
    means = [
        np.average(right, weights=drawn[own])
        for drawn in np.random.default_rng(0).multinomial(
            len(documents), np.full(len(documents), 1 / len(documents)), 1_000
        )
    ]
    assert probing.intervals()["probing"] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist())
