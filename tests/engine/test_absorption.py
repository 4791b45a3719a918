"""Absorption on SAEs written by hand whose absorption is known, and against SAEBench's rules token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.engine.absorption import Absorption, Parent, absorbed_fraction
from experiments.engine.builtin.broader_concepts import BROADER_CONCEPTS
from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.probe_sample import SampledTokens
from experiments.engine.probing import probe_concept
from tests.engine.test_probing import sample_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def hierarchy(seed: int = 3, tokens: int = 6_000) -> tuple[Floats, Bools, Bools]:
    """Hidden states with the parent on the first axis and the child on the second, and who carries which.

    One in forty of the parent's tokens are the child's. With more of them the child's feature would count as one more
    main feature of the parent.
    """
    random = np.random.default_rng(seed)
    parent = random.random(tokens) < 0.5
    child = parent & (random.random(tokens) < 1 / 40)
    states = random.normal(0, 0.05, (tokens, 4)) + np.stack([parent, child, parent * 0, parent * 0], 1)
    return states, parent, child


def looked_at(dense: Floats, states: Floats, decoder: Floats, parent: Bools, child: Bools, bias: Floats) -> Absorption:
    sample = sample_of(dense, states, np.stack([parent, child], 1))
    probe = probe_concept(sample, 0, dense.shape[1])
    assert probe is not None
    absorption = Absorption(sample, decoder, bias)
    absorption.look_at(Parent("parent", 0, probe, {"child": sample.flags[:, 1], "rest": ~sample.flags[:, 1]}))
    return absorption


@pytest.mark.parametrize("kept", [1.0, 0.25, 0.0])
def test_what_a_child_takes_over_is_absorbed(kept: float) -> None:
    """Feature 0 is the parent's and keeps a part of itself on the child's tokens; feature 1 takes what is missing."""
    states, parent, child = hierarchy()
    decoder = np.array([[1.0, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 1.0, 0, 0]])
    dense = np.zeros((len(states), 3))
    dense[:, 0] = np.where(child, kept, parent)
    dense[child, 1] = (1 - kept) / 0.6
    dense[child, 2] = 1 - 0.8 * dense[child, 1]  # the child's own axis is whole in every case
    found = looked_at(dense, states, decoder, parent, child, np.zeros(4)).summary()
    (row,) = found["rows"]
    (of_child,) = (one for one in row["children"] if one["child"] == "child")
    assert row["features"] == [0]
    assert of_child["tokens"] > 20
    assert of_child["share"] == (1.0 if kept == 0.0 else 0.0)
    assert of_child["fraction"] == pytest.approx(1 - kept, abs=0.15)  # what the probe sees is noisy
    assert row["share"] == pytest.approx(of_child["share"] * of_child["tokens"] / row["tokens"])
    assert (found["share"], found["fraction"]) == (row["share"], row["fraction"])


def as_saebench_says(absorption: Absorption, sample: SampledTokens, parent: Parent, main: set[int]) -> Any:
    """Full absorption and the fraction of every true positive of the probe, one token after the other."""
    decoder, direction = absorption._decoder, parent.probe.dense.direction
    full, fractions = [], []
    for row in np.flatnonzero(sample.odd & sample.flags[:, parent.concept]):
        x = sample.states[row].astype(np.float64)
        if x @ direction + parent.probe.dense.offset <= 0:
            continue
        projection = (x - absorption._bias) @ direction
        activations = sample.columns(np.array([row]), np.arange(len(decoder)))[0]
        parts = activations * (decoder @ direction)
        cosines = decoder @ direction / np.linalg.norm(decoder, axis=1) / np.linalg.norm(direction)
        top = int(np.argmax(np.where(activations > 0, parts, -np.inf)))
        silent = all(activations[feature] < 1e-8 for feature in main)
        full.append(silent and cosines[top] >= 0.025 and projection > 0 and parts[top] >= 0.4 * projection)
        others = [i for i in range(len(decoder)) if i not in main and cosines[i] >= 0.1 and parts[i] > 0]
        absorbers = sum(sorted((parts[i] for i in others), reverse=True)[:3])
        by_main = sum(parts[feature] for feature in main)
        if by_main >= projection or absorbers / projection < 0.4:
            fractions.append(0.0)
        elif by_main <= 0:
            fractions.append(1.0)
        else:
            taken = min(absorbers, projection - by_main)
            fractions.append(taken / (taken + by_main))
    return full, fractions


@pytest.mark.parametrize("seed", range(4))
def test_every_token_follows_the_rules(seed: int) -> None:
    """Features of random directions and lengths that fire at random, so that every branch of the rules is met."""
    random = np.random.default_rng(seed)
    states, carries, child = hierarchy(seed)
    decoder = random.normal(size=(12, 4)) + np.array([0.6, 0, 0, 0])
    lengths = random.uniform(0.5, 2.0, 12)
    decoder *= (lengths / np.linalg.norm(decoder, axis=1))[:, None]
    dense = random.random((len(states), 12)) * (random.random((len(states), 12)) < 0.2)
    dense[:, 0] = np.where(carries & ~child & (random.random(len(states)) < 0.9), 0.7, 0)
    dense /= lengths
    bias = random.normal(0, 0.1, 4)
    sample = sample_of(dense, states, np.stack([carries, child], 1))
    probe = probe_concept(sample, 0, 12)
    assert probe is not None
    parent, absorption = Parent("parent", 0, probe, {}), Absorption(sample, decoder, bias)
    main = absorption.main_features(probe)
    found = absorption.absorbed(parent, main)
    full, fractions = as_saebench_says(absorption, sample, parent, set(main.tolist()))
    assert found.fully.tolist() == full
    assert found.fraction == pytest.approx(np.array(fractions))
    assert 0 < np.mean(full) < 1
    assert len(np.unique(np.round(fractions, 6))) > 10


def test_the_fraction_of_tokens_at_the_edges() -> None:
    projection = np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0])
    by_main = np.array([0.5, 0.5, -0.2, 1.0, 0.9, 0.0])
    absorbers = np.array([0.5, 0.39, 3.0, 0.9, 0.6, 0.5])
    expected = [0.5, 0.0, 1.0, 0.0, 0.1, 0.0]
    assert absorbed_fraction(projection, by_main, absorbers) == pytest.approx(np.array(expected))


def test_the_interval_is_of_documents_drawn_again() -> None:
    states, carries, child = hierarchy(tokens=4_000)
    dense = np.stack([carries & ~child, child], 1).astype(np.float64)
    decoder = np.array([[1.0, 0, 0, 0], [0.6, 0.8, 0, 0]])
    absorption = looked_at(dense, states, decoder, carries, child, np.zeros(4))

    sample = absorption._sample
    probe = probe_concept(sample, 0, 2)
    assert probe is not None
    found = absorption.absorbed(Parent("parent", 0, probe, {}), np.array([0]))
    documents, of = np.unique(sample.documents, return_inverse=True)
    own, count = of[found.rows], len(documents)
    shares = [
        np.average(found.fully, weights=drawn[own])
        for drawn in np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), 1_000)
    ]
    intervals = absorption.intervals()
    assert intervals["absorption"] == pytest.approx(np.percentile(shares, [2.5, 97.5]).tolist())
    assert intervals["absorption"][0] < (absorption.summary()["share"] or 0) < intervals["absorption"][1]
    assert set(intervals) == {"absorption", "absorption_fraction"}


def test_a_parent_that_its_probe_does_not_find_is_left_out() -> None:
    """The classes are told apart on the fitting half, and turned round on the other."""
    states, parent, child = hierarchy()
    states[(np.arange(len(states)) // 5) % 2 == 1, 0] *= -1
    dense = np.stack([parent, child], 1).astype(np.float64)
    assert looked_at(dense, states, np.eye(2, 4), parent, child, np.zeros(4)).summary()["rows"] == []


def test_without_parents_there_is_no_absorption() -> None:
    absorption = Absorption(sample_of(*np.zeros((2, 9, 4)), np.zeros((9, 1), bool)), np.eye(4), np.zeros(4))
    assert absorption.summary() == {"share": None, "fraction": None, "hierarchies": 0, "rows": []}
    assert absorption.intervals() == {}


def test_broader_concepts_are_made_of_planted_ones_and_are_none_of_them() -> None:
    members = [member for several in BROADER_CONCEPTS.values() for member in several]
    assert set(members) <= set(CONCEPTS)
    assert len(members) == len(set(members))
    assert not set(BROADER_CONCEPTS) & set(CONCEPTS)
    assert min(len(several) for several in BROADER_CONCEPTS.values()) >= 2
