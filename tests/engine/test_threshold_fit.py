"""After the fit k features fire per token on average, whatever the distribution of activations."""

from __future__ import annotations

import pytest
import torch

from experiments.engine.architectures import architecture_of
from experiments.engine.config import SaeConfig
from experiments.engine.threshold_fit import ThresholdFit
from tests.engine.random_sae import random_states, random_weights


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka", "jumprelu"])
@pytest.mark.parametrize("k", [1, 7, 40])
def test_k_features_fire_on_average(name: str, k: int) -> None:
    states = random_states(3_000, 8, dtype=torch.float32)
    weights = random_weights(8, 128, dtype=torch.float32)
    if name == "jumprelu":
        weights = weights._replace(threshold=random_states(1, 128, dtype=torch.float32)[0].abs() + 0.1)
    architecture = architecture_of(SaeConfig(name, 128, k))
    fit = ThresholdFit(architecture, weights, k)
    for part in torch.split(states, 700):
        fit.add(part)
    fitted = fit.fitted()
    code = architecture.features_of(architecture.pre_activations(states, fitted), fitted)
    assert len(code.features) / len(states) == pytest.approx(k, rel=0.002)
    assert fit.tokens == 3_000


def test_relative_thresholds_of_jumprelu_are_kept() -> None:
    weights = random_weights(8, 32, dtype=torch.float32)
    weights = weights._replace(threshold=torch.linspace(0.5, 2, 32))
    fit = ThresholdFit(architecture_of(SaeConfig("jumprelu", 32, 3)), weights, 3)
    fit.add(random_states(500, 8, dtype=torch.float32))
    ratio = fit.fitted().threshold / weights.threshold  # type: ignore[operator]
    torch.testing.assert_close(ratio, ratio[0].expand(32))


def test_where_fewer_than_k_are_positive_all_of_them_fire() -> None:
    weights = random_weights(8, 32, dtype=torch.float32)
    weights.encoder_bias.fill_(-2.0)
    architecture = architecture_of(SaeConfig("batchtopk", 32, 31))
    states = random_states(200, 8, dtype=torch.float32)
    fit = ThresholdFit(architecture, weights, 31)
    fit.add(states)
    pre = architecture.pre_activations(states, weights)
    assert len(architecture.features_of(pre, fit.fitted()).features) == int((pre > 0).sum())


def test_nothing_to_fit_on() -> None:
    fit = ThresholdFit(architecture_of(SaeConfig("batchtopk", 32, 3)), random_weights(8, 32), 3)
    with pytest.raises(ValueError, match="needs hidden states"):
        fit.fitted()
