"""Concept recovery against a slow search that looks at dense matrices, token by token."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.engine.concept_recovery import (
    ConceptRecovery,
    Detector,
    HeldOutFirings,
    best_thresholds,
    choose_set,
    fired_by,
    score,
    sort_firings,
)

Dense = NDArray[np.float32]


def random_case(seed: int, tokens: int = 60, features: int = 7) -> tuple[Dense, NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    activations = np.where(random.random((tokens, features)) < 0.4, random.integers(1, 5, (tokens, features)), 0)
    return activations.astype(np.float32), random.random(tokens) < 0.3


def firings_of(dense: Dense):  # type: ignore[no-untyped-def]
    tokens, features = np.nonzero(dense)
    return sort_firings(features, tokens, dense[tokens, features])


def chosen_for(dense: Dense, carries: NDArray[np.bool_]) -> list[Detector]:
    return choose_set(firings_of(dense), carries, best_thresholds(firings_of(dense), carries))


def f1(fired: NDArray[np.bool_], carries: NDArray[np.bool_]) -> float:
    return 2 * (fired & carries).sum() / max(1, fired.sum() + carries.sum())


@pytest.mark.parametrize("seed", range(8))
def test_the_best_threshold_is_found_for_every_feature(seed: int) -> None:
    """Activations take four values, so there are many ties at every threshold."""
    dense, carries = random_case(seed)
    found = best_thresholds(firings_of(dense), carries)
    for feature, threshold, reached in zip(found.features, found.thresholds, found.f1, strict=True):
        best = max(
            f1(dense[:, feature] >= value, carries) for value in np.unique(dense[dense[:, feature] > 0, feature])
        )
        assert f1(dense[:, feature] >= threshold, carries) == pytest.approx(best)
        assert reached == pytest.approx(best)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_threshold_next_to_tokens_that_are_covered(seed: int) -> None:
    dense, carries = random_case(seed)
    covered = np.random.default_rng(seed).random(len(carries)) < 0.2
    found = best_thresholds(firings_of(dense), carries, covered)
    for feature, reached in zip(found.features, found.f1, strict=True):
        values = np.unique(dense[dense[:, feature] > 0, feature])
        assert reached == pytest.approx(max(f1(covered | (dense[:, feature] >= value), carries) for value in values))


def test_no_firings_have_no_thresholds() -> None:
    dense, carries = random_case(0)
    assert len(best_thresholds(firings_of(dense * 0), carries).features) == 0
    assert chosen_for(dense * 0, carries) == []


def test_a_concept_that_was_split_is_put_together_again() -> None:
    """Three features each fire on a third of the concept; a fourth fires on everything."""
    carries = np.arange(90) < 30
    dense = np.zeros((90, 4), np.float32)
    for part in range(3):
        dense[part * 10 : part * 10 + 10, part] = 1.0
    dense[:, 3] = 0.5
    chosen = chosen_for(dense, carries)
    assert {detector.feature for detector in chosen} == {0, 1, 2} or chosen[0].feature == 3
    union = fired_by(chosen, firings_of(dense), 90)
    assert score(union, carries).f1 >= score(fired_by(chosen[:1], firings_of(dense), 90), carries).f1


def test_the_union_of_three_parts_is_perfect() -> None:
    carries = np.arange(90) < 30
    dense = np.zeros((90, 3), np.float32)
    for part in range(3):
        dense[part * 10 : part * 10 + 10, part] = 1.0
    chosen = chosen_for(dense, carries)
    assert sorted(detector.feature for detector in chosen) == [0, 1, 2]
    assert score(fired_by(chosen, firings_of(dense), 90), carries).f1 == 1.0


def test_a_set_has_at_most_five_members() -> None:
    dense = np.zeros((80, 8), np.float32)
    for feature in range(8):
        dense[feature * 5 : feature * 5 + 5, feature] = 1.0
    assert len(chosen_for(dense, np.arange(80) < 40)) == 5


def test_a_detector_fires_at_and_above_its_threshold() -> None:
    dense = np.array([[0.5], [1.0], [2.0], [0.0]], np.float32)
    fired = fired_by([Detector(0, 1.0)], firings_of(dense), 4)
    assert fired.tolist() == [False, True, True, False]


def test_scores_count_what_they_say() -> None:
    found = score(np.array([True, True, False, False]), np.array([True, False, True, True]))
    assert (found.precision, found.recall, found.f1) == (0.5, pytest.approx(1 / 3), pytest.approx(0.4))
    nothing = score(np.zeros(3, bool), np.zeros(3, bool))
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)


def recovery_of(dense: Dense, flags: NDArray[np.bool_], documents: NDArray[np.int32]) -> ConceptRecovery:
    held_out = HeldOutFirings(firings_of(dense), documents, flags)
    names = tuple(f"concept-{number}" for number in range(flags.shape[1]))
    recovery = ConceptRecovery(held_out, names, {name: name.title() for name in names}, dense.shape[1])
    assert list(recovery.run()) == list(range(1, len(names) + 1))
    return recovery


def test_thresholds_come_from_one_half_and_scores_from_the_other() -> None:
    """The feature tells the concept apart in the even documents, and fires on everything in the odd ones."""
    documents = np.repeat(np.arange(10, dtype=np.int32), 10)
    carries = np.tile(np.arange(10) < 5, 10)
    dense = np.where(carries, 2.0, np.where(documents % 2 == 0, 1.0, 2.0))[:, None].astype(np.float32)
    summary = recovery_of(dense, carries[:, None], documents).summary()
    (row,) = summary["rows"]
    assert (summary["fitted_tokens"], summary["scored_tokens"]) == (50, 50)
    assert row["threshold"] == 2.0
    assert (row["precision"], row["recall"], row["tokens"]) == (0.5, 1.0, 25)
    assert summary["single_share_f1_80"] == 0.0


def test_shares_count_the_concepts_that_are_found() -> None:
    random = np.random.default_rng(1)
    documents = np.arange(400, dtype=np.int32)
    found, split, absent = (random.random(400) < 0.2 for _ in range(3))
    dense = np.zeros((400, 6), np.float32)
    dense[found, 4] = 3.0
    first_part = random.random(400) < 0.5
    dense[split & first_part, 0] = 1.0
    dense[split & ~first_part, 1] = 1.0
    summary = recovery_of(dense, np.stack([found, split, absent], axis=1), documents).summary()
    assert [row["feature"] for row in summary["rows"][:2]] in ([4, 0], [4, 1])
    assert sorted(summary["rows"][1]["set"]) == [0, 1]
    assert summary["single_share_f1_80"] == pytest.approx(1 / 3)
    assert summary["set_share_f1_80"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_gets_the_concept_it_finds_best(seed: int) -> None:
    dense, _ = random_case(seed, tokens=200, features=5)
    flags = np.random.default_rng(100 + seed).random((200, 3)) < 0.3
    documents = np.arange(200, dtype=np.int32)
    fitting, scoring = documents % 2 == 0, documents % 2 == 1
    by_feature = recovery_of(dense, flags, documents).by_feature()
    for feature in range(5):
        options = {
            (concept, value): f1(dense[fitting, feature] >= value, flags[fitting, concept])
            for concept, value in itertools.product(range(3), np.unique(dense[dense[:, feature] > 0, feature]))
        }
        concept, value = max(options, key=options.__getitem__)
        found = by_feature[feature]
        assert options[int(found["name"][-1]), value] == pytest.approx(options[concept, value])
        if found["name"] == f"concept-{concept}":
            assert found["f1"] == pytest.approx(f1(dense[scoring, feature] >= value, flags[scoring, concept]), abs=0.15)


def test_intervals_are_of_scored_documents_drawn_again() -> None:
    random = np.random.default_rng(5)
    documents = np.repeat(np.arange(40, dtype=np.int32), 6)
    flags = random.random((240, 4)) < 0.3
    dense = np.where(flags ^ (random.random(flags.shape) < 0.08), 1.0, 0.0).astype(np.float32)
    recovery = recovery_of(dense, flags, documents)

    odd = documents % 2 == 1
    detectors = [Detector(row["feature"], row["threshold"]) for row in recovery.rows]
    fired = np.stack([dense[odd, one.feature] >= one.threshold for one in detectors], 1)
    shares = []
    for drawn in np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), 1_000):
        rows = np.repeat(np.arange(120), drawn[(documents[odd] - 1) // 2])
        found = [f1(fired[rows, number], flags[odd][rows, number]) >= 0.8 for number in range(4)]
        shares.append(np.mean(found))
    assert recovery.intervals()["concepts_single"] == pytest.approx(np.percentile(shares, [2.5, 97.5]).tolist())
    assert 0 < np.mean(shares) < 1
