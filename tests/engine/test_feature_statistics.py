"""The harvest's sorting and summaries against plain numpy over all activations at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from experiments.engine import activation_spill
from experiments.engine.activation_spill import ActivationSpill, SortedActivations
from experiments.engine.feature_directions import FeatureDirections
from experiments.engine.feature_statistics import HarvestedText, histogram, quantiles, summarise
from experiments.engine.logit_histograms import logit_histograms

FEATURES, TOKENS = 23, 400


@pytest.fixture
def activations() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Features, positions and activations in the order of the text; some activations are equal, feature 5 is dead."""
    random = np.random.default_rng(4)
    positions = np.sort(random.integers(0, TOKENS, 3_000))
    features = random.integers(0, FEATURES, 3_000)
    features[features == 5] = 6
    return features, positions, random.integers(1, 40, 3_000).astype(np.float32) / 7


def spilled(folder: Path, columns: tuple[NDArray, ...]) -> list[SortedActivations]:  # type: ignore[type-arg]
    """The activations given in batches of 50 tokens, with a window for each token."""
    features, positions, values = columns
    spill = ActivationSpill(folder, FEATURES)
    for start in range(spill.stop, TOKENS, 50):
        here = (positions >= start) & (positions < start + 50)
        read = np.arange(start, start + 50)
        spill.add(read, features[here], positions[here] - start, values[here], start + 50)
    spill.finish_part()
    assert len(spill) == len(values)
    return [spill.sorted_range(*found) for found in spill.ranges()]


@pytest.mark.parametrize("at_once", [100, 1_000, 10**6])
@pytest.mark.parametrize("part_tokens", [50, 170, 10**6])
def test_activations_come_back_sorted_whatever_the_number_of_parts_and_ranges(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    activations: tuple[NDArray, ...],  # type: ignore[type-arg]
    at_once: int,
    part_tokens: int,
) -> None:
    monkeypatch.setattr(activation_spill, "ACTIVATIONS_AT_ONCE", at_once)
    monkeypatch.setattr(activation_spill, "PART_TOKENS", part_tokens)
    ranges = spilled(tmp_path, activations)
    features, positions, values = activations
    order = np.lexsort((np.arange(len(values)), -values, features))
    assert np.concatenate([part.features for part in ranges]).tolist() == features[order].tolist()
    assert np.concatenate([part.positions for part in ranges]).tolist() == positions[order].tolist()
    assert np.concatenate([part.activations for part in ranges]).tolist() == values[order].tolist()
    assert [part.first for part in ranges[1:]] == [part.stop for part in ranges[:-1]]
    assert (ranges[0].first, ranges[-1].stop) == (0, FEATURES)
    assert all(len(part.features) <= at_once for part in ranges if part.stop - part.first > 1)


def test_a_spill_goes_on_after_the_last_finished_part(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    activations: tuple[NDArray, ...],  # type: ignore[type-arg]
) -> None:
    monkeypatch.setattr(activation_spill, "PART_TOKENS", 100)
    features, positions, values = activations
    first = ActivationSpill(tmp_path, FEATURES)
    for start in (0, 50, 100):
        here = (positions >= start) & (positions < start + 50)
        first.add(np.arange(start, start + 50), features[here], positions[here] - start, values[here], start + 50)
    assert first.stop == 100  # what was added later is lost with the process
    (tmp_path / "unfinished").mkdir()
    whole = spilled(tmp_path, activations)
    assert sum(len(part.features) for part in whole) == len(values)


def test_a_range_has_as_many_features_as_fit_into_a_key(tmp_path: Path) -> None:
    spill = ActivationSpill(tmp_path, n_features=10_000)
    spill.add(np.array([1, 2, 3]), np.array([9_999, 0, 7_000]), np.arange(3), np.ones(3, np.float32), 1)
    spill.finish_part()
    parts = [spill.sorted_range(*found) for found in spill.ranges()]
    assert max(part.stop - part.first for part in parts) <= 2**12
    assert np.concatenate([part.features for part in parts]).tolist() == [0, 7_000, 9_999]
    assert np.concatenate([part.positions for part in parts]).tolist() == [2, 3, 1]


def test_text_without_a_single_activation_is_a_part_too(tmp_path: Path) -> None:
    spill = ActivationSpill(tmp_path, n_features=3)
    spill.add(np.array([4, 5]), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 1)
    spill.finish_part()
    assert (spill.stop, len(spill), ActivationSpill(tmp_path, 3).parts[0].read.tolist()) == (1, 0, [4, 5])
    assert len(spill.sorted_range(0, 3).features) == 0


def test_summaries_count_every_activation(tmp_path: Path, activations: tuple[NDArray, ...]) -> None:  # type: ignore[type-arg]
    features, positions, values = activations
    token_at = np.random.default_rng(8).integers(0, 30, TOKENS).astype(np.int32)
    occurrences = np.bincount(token_at, minlength=30)
    document_at = np.arange(TOKENS, dtype=np.int32) // 30
    text = HarvestedText(token_at, document_at, TOKENS, occurrences, [f"t{number}" for number in range(30)])
    rows = [row for part in spilled(tmp_path, activations) for row in summarise(part, text)]

    assert [row["index"] for row in rows] == list(range(FEATURES))
    for row in rows:
        own = values[features == row["index"]]
        tokens = Counter(token_at[positions[features == row["index"]]].tolist())
        assert (row["firings"], row["tokens"]) == (len(own), TOKENS)
        assert row["documents"] == len(set(document_at[positions[features == row["index"]]].tolist()))
        assert row["density"] == len(own) / TOKENS
        assert row["max_activation"] == pytest.approx(own.max(initial=0))
        assert row["mean_activation"] == pytest.approx(own.mean() if len(own) else 0.0)
        assert [entry["firings"] for entry in row["top_tokens"]] == [count for _, count in tokens.most_common(10)]
        for entry in row["top_tokens"]:
            assert entry["firings"] == tokens[entry["token"]]
            assert entry["share"] == entry["firings"] / len(own)
            assert (entry["text"], entry["occurrences"]) == (f"t{entry['token']}", occurrences[entry["token"]])


def test_a_dead_feature_has_an_empty_summary(tmp_path: Path, activations: tuple[NDArray, ...]) -> None:  # type: ignore[type-arg]
    text = HarvestedText(np.zeros(TOKENS, np.int32), np.zeros(TOKENS, np.int32), TOKENS, np.array([TOKENS]), ["a"])
    dead = [row for part in spilled(tmp_path, activations) for row in summarise(part, text)][5]
    assert dead["firings"] == dead["density"] == dead["max_activation"] == dead["mean_activation"] == 0
    assert dead["histogram"] == {"edges": [], "counts": []}
    assert dead["quantiles"] == dead["top_tokens"] == []


def test_quantiles_are_exact() -> None:
    values = np.sort(np.random.default_rng(2).lognormal(size=57)).astype(np.float32)
    for entry in quantiles(values):
        assert entry["activation"] == pytest.approx(np.quantile(values, entry["share"]), rel=1e-6)
    assert [entry["activation"] for entry in quantiles(values[:1])] == [pytest.approx(float(values[0]))] * 6


def test_the_histogram_is_even_on_a_logarithmic_axis_and_counts_all() -> None:
    values = np.sort(np.random.default_rng(2).lognormal(size=501)).astype(np.float32)
    found = histogram(values)
    steps = np.diff(np.log(found["edges"]))
    assert sum(found["counts"]) == 501
    np.testing.assert_allclose(steps, steps[0])
    edges = np.array(found["edges"])
    edges[[0, -1]] = values[0], values[-1]  # geomspace rounds its ends
    assert found["counts"] == np.histogram(values.astype(np.float64), edges)[0].tolist()


def test_equal_activations_are_one_bar() -> None:
    found = histogram(np.full(9, 2.0, np.float32))
    assert found["counts"] == [9]
    assert found["edges"][0] < 2.0 < found["edges"][1]


def unit_rows(count: int, width: int, seed: int) -> torch.Tensor:
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def test_directions_name_their_tokens_and_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.engine.feature_directions.NUMBERS_AT_ONCE", 120)  # two features at a time
    encoder, decoder, unembedding = (
        unit_rows(31, 5, 3) * 2,
        unit_rows(31, 8, 1),
        torch.randn(60, 8, generator=torch.Generator().manual_seed(2)),
    )
    found = FeatureDirections(encoder, decoder, unembedding, [f"t{n}" for n in range(60)]).describe(3, 20)

    assert len(found) == 17
    for feature, row in enumerate(found, start=3):
        logits = unembedding @ decoder[feature]
        logits -= logits.mean()
        cosines = decoder @ decoder[feature]
        cosines[feature] = -2
        assert [entry["token"] for entry in row["promoted"]] == logits.argsort(descending=True)[:10].tolist()
        assert [entry["token"] for entry in row["suppressed"]] == logits.argsort()[:10].tolist()
        assert row["promoted"][0]["logit"] == pytest.approx(float(logits.max()), rel=1e-4)
        assert row["promoted"][0]["text"] == f"t{row['promoted'][0]['token']}"
        assert [entry["index"] for entry in row["nearest"]] == cosines.argsort(descending=True)[:10].tolist()
        assert row["nearest"][0]["cosine"] == pytest.approx(float(cosines.max()), rel=1e-4)
        of_encoder = encoder @ encoder[feature] / 4
        of_encoder[feature] = -2
        assert [entry["index"] for entry in row["nearest_by_encoder"]] == of_encoder.topk(10).indices.tolist()
        components = encoder[feature].abs()
        assert [entry["dimension"] for entry in row["inputs"]] == components.argsort(descending=True).tolist()
        assert row["inputs"][0]["share"] == pytest.approx(float(components.max() / components.sum()))
        assert abs(row["inputs"][0]["weight"]) == pytest.approx(float(components.max()))


def test_without_an_unembedding_there_are_only_neighbours() -> None:
    (first, _) = FeatureDirections(unit_rows(2, 4, 1), unit_rows(2, 4, 1), None, []).describe(0, 2)
    assert first["promoted"] == first["suppressed"] == []
    assert first["logit_histogram"] is None
    assert [entry["index"] for entry in first["nearest"]] == [1]


def test_the_histogram_of_logits_counts_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.engine.logit_histograms.NUMBERS_AT_ONCE", 1000)  # two rows at a time
    logits = torch.randn(5, 500, generator=torch.Generator().manual_seed(4))
    logits[3] = 0.0
    for row, found in zip(logits, logit_histograms(logits), strict=True):
        assert sum(found["counts"]) == 500
        assert found["edges"][0] == pytest.approx(float(row.min()))
        assert found["edges"][-1] == pytest.approx(float(row.max()), abs=1e-6)
    expected, _ = np.histogram(logits[0].double().numpy(), 40)
    found = np.array(logit_histograms(logits[:1])[0]["counts"])
    assert np.abs(found - expected).sum() <= 4  # a logit on an edge may fall to either side
