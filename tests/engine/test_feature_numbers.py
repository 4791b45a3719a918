"""Density and geometry of features against loops over dense matrices in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.engine import feature_geometry
from experiments.engine.density_quality import DensitySums
from experiments.engine.feature_geometry import coherence, geometry_quality
from experiments.engine.kernels import DenseCode, Weights


def test_densities_agree_with_counting_a_dense_matrix() -> None:
    random = torch.Generator().manual_seed(2)
    shares = torch.tensor([0.0, 0.004, 0.02, 0.05, 0.15, 0.6])
    dense = (torch.rand(900, 6, generator=random) < shares).float() * torch.rand(900, 6, generator=random)
    windows = np.arange(900) // 30
    sums = DensitySums(6, torch.device("cpu"))
    for start in (0, 300, 600):
        rows = slice(start, start + 300)
        sums.add(DenseCode(dense[rows], dense[rows] > 0).firing(), windows[rows])
    found = sums.quality()

    fires = dense.double().numpy() > 0
    density, firings = fires.mean(0), fires.sum(0)
    assert found["dead_share"] == pytest.approx(np.mean(density == 0))
    assert found["dead_tokens"] == 900
    for percent in (1, 10):
        above = density > percent / 100
        assert found[f"above_{percent}_percent"] == pytest.approx(above.mean())
        assert found[f"above_{percent}_percent_firings"] == pytest.approx(firings[above].sum() / firings.sum())
    per_window = [firings[feature] / len(set(windows[fires[:, feature]])) for feature in range(6) if firings[feature]]
    assert found["consistent_activation"] == pytest.approx(np.mean(per_window))
    counts = [0] * 24
    for value in density[density > 0]:
        counts[min(23, int(np.floor(4 * np.log10(value) + 24)))] += 1
    assert found["density"]["counts"] == counts


def test_nothing_fired_is_no_reason_to_fail() -> None:
    found = DensitySums(5, torch.device("cpu")).quality()
    assert (found["dead_share"], found["consistent_activation"], sum(found["density"]["counts"])) == (1.0, 0.0, 0)


def weights_of(encoder: torch.Tensor, decoder: torch.Tensor) -> Weights:
    return Weights(encoder, torch.zeros(len(encoder)), decoder, torch.zeros(decoder.shape[1]))


def test_cosines_agree_with_loops_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_geometry, "COSINES_AT_ONCE", 40)  # several chunks
    random = torch.Generator().manual_seed(4)
    encoder, decoder = torch.randn(23, 5, generator=random), torch.randn(23, 5, generator=random)
    found = geometry_quality(weights_of(encoder, decoder))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    e, d = encoder.double().numpy(), decoder.double().numpy()
    nearest = [max(cosine(d[i], d[j]) for j in range(23) if j != i) for i in range(23)]
    assert found["encoder_decoder_cosine"] == pytest.approx(np.mean([cosine(e[i], d[i]) for i in range(23)]), rel=1e-5)
    assert found["decoder_coherence"] == pytest.approx(np.mean(nearest), rel=1e-5)
    alike = [max(cosine(e[i], e[j]) for j in range(23) if j != i) for i in range(23)]
    assert found["encoder_coherence"] == pytest.approx(np.mean(alike), rel=1e-5)


def test_a_transcoder_between_widths_has_no_cosine_of_its_two_sides() -> None:
    assert geometry_quality(weights_of(torch.ones(4, 3), torch.ones(4, 2)))["encoder_decoder_cosine"] is None


def test_of_many_features_a_sample_is_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_geometry, "LARGEST_SAMPLE", 2)
    directions = torch.eye(6)
    directions[5] = directions[2]  # the sample is rows 0 and 5
    assert coherence(directions) == pytest.approx(0.5)
    assert coherence(directions[:1]) == 0.0
