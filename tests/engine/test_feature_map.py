"""The map of features: PCA is numpy's, the grid keeps shapes, and what cannot be made is a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from experiments.engine import feature_map
from experiments.engine.feature_map import MadeMap, MapError, make_map


def rows(count: int = 60, width: int = 12) -> NDArray[np.float32]:
    """Directions with three strong axes, of any length."""
    random = np.random.default_rng(3)
    return (random.normal(size=(count, width)) * [9, 5, 3, *[0.5] * (width - 3)]).astype(np.float32)


def made(folder: Path, decoder: NDArray[Any], method: str = "pca") -> MadeMap:
    path = folder / "weights.safetensors"
    save_file({"decoder": decoder}, path)
    *_, last = make_map(path, method)
    assert isinstance(last, MadeMap)
    return last


def test_pca_is_that_of_a_singular_value_decomposition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_map, "BLOCK_ROWS", 7)
    decoder = rows()
    unit = decoder / np.linalg.norm(decoder, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    found = made(tmp_path, decoder)
    assert found.variance_shares == pytest.approx((values**2 / (values**2).sum())[:2], rel=1e-5)
    for axis in (0, 1):
        correlation = np.corrcoef(found.positions[:, axis], left[:, axis] * values[axis])[0, 1]
        assert abs(correlation) == pytest.approx(1, abs=1e-6)


def test_both_axes_have_one_scale_and_the_longer_fills_the_map(tmp_path: Path) -> None:
    positions = made(tmp_path, rows()).positions.astype(int)
    spans = positions.max(0) - positions.min(0)
    assert spans.max() == feature_map.COORDINATE_MAXIMUM
    assert 0 < spans.min() < spans.max()


def test_the_same_weights_give_the_same_map(tmp_path: Path) -> None:
    assert np.array_equal(made(tmp_path, rows()).positions, made(tmp_path, rows()).positions)


def test_rows_of_zeros_and_a_width_of_one_have_a_place(tmp_path: Path) -> None:
    assert made(tmp_path, np.zeros((6, 4), np.float32)).positions.shape == (6, 2)
    assert made(tmp_path, np.ones((6, 1), np.float32)).positions.shape == (6, 2)


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_without_the_extra_a_sentence_tells_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    for name in ("umap", "sklearn.manifold"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MapError, match=r"pip install .*map"):
        made(tmp_path, rows(), method)


def test_t_sne_places_every_feature_the_same_way_each_time(tmp_path: Path) -> None:
    first, second = made(tmp_path, rows(), "tsne"), made(tmp_path, rows(), "tsne")
    assert first.positions.shape == (60, 2)
    assert np.array_equal(first.positions, second.positions)


@pytest.mark.parametrize(("method", "count"), [("walk", 60), ("tsne", 3), ("umap", 4)])
def test_a_map_that_cannot_be_made_is_refused(tmp_path: Path, method: str, count: int) -> None:
    with pytest.raises(MapError):
        made(tmp_path, rows(count), method)


def test_weights_that_are_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="cannot be read"):
        list(make_map(tmp_path / "none.safetensors", "pca"))
