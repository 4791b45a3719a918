"""Every architecture recovers a dictionary that is known, wastes few features on the way, and holds the L0 it is given.

The dictionary is larger than the space it lives in, and its directions are not equally frequent.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from experiments.engine.config import ARCHITECTURES, ExperimentConfig, SaeConfig
from experiments.engine.config.choices import HOLDS_K
from experiments.engine.input_statistics import measure
from experiments.engine.sae import Sae, SaeDescription
from experiments.engine.seed_stability import matches
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.trainer import Trainer, initial_weights
from tests.engine.synthetic_source import small_config

WIDTH, DIRECTIONS, ACTIVE = 32, 64, 3
BATCH, STEPS = 128, 600
# Where the penalty leaves about as many features as are planted.
COEFFICIENTS = {"relu": 0.15, "gated": 0.3}


def dictionary(directions: int = DIRECTIONS, width: int = WIDTH) -> Tensor:
    return functional.normalize(torch.randn(directions, width, generator=torch.Generator().manual_seed(7)), dim=1)


def planted(count: int, seed: int, directions: Tensor, active: int = ACTIVE) -> Tensor:
    """Sums of `active` directions with strengths between 1 and 2; the first are four times as frequent as the last."""
    random = torch.Generator().manual_seed(seed)
    rates = torch.linspace(4, 1, len(directions)).expand(count, -1)
    chosen = torch.multinomial(rates, active, generator=random)
    strengths = 1 + torch.rand(count, active, generator=random)
    return 0.5 + torch.einsum("ta,taw->tw", strengths, directions[chosen])


def config_of(architecture: str, n_features: int, k: int, steps: int, rate: float = 5e-3) -> ExperimentConfig:
    sae = SaeConfig(architecture, n_features, k, sparsity_coefficient=COEFFICIENTS.get(architecture, 0.0))
    return replace(small_config(tokens=BATCH * steps, learning_rate=rate), sae=sae)


def trained(config: ExperimentConfig, states: Tensor) -> tuple[Trainer, list[float]]:
    """The trainer after all steps, and the L0 of each."""
    statistics = measure(states, states)
    weights = initial_weights(config.sae, statistics, config.seed)
    trainer = Trainer(config.sae, config.training, weights, statistics.scales, seed=config.seed)
    batches = torch.split(states, BATCH)
    return trainer, [trainer.train_on(batches[step % len(batches)]).l0 for step in range(config.training.steps)]


def finished(trainer: Trainer, config: ExperimentConfig, held_out: Tensor) -> Sae:
    weights, sae = trainer.folded_weights(), config.sae
    if trainer.architecture.has_fitted_threshold:
        fit = ThresholdFit(trainer.architecture, weights, sae.k)
        fit.add(held_out)
        weights = fit.fitted()
    description = SaeDescription(
        sae.architecture, sae.n_features, held_out.shape[1], sae.k, "builtin", 0, "resid_post", 1e9
    )
    return Sae(weights, description)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_planted_dictionary_is_recovered(architecture: str) -> None:
    """The mean of the cosines between planted directions and features matched one to one, and the dead."""
    directions, config = dictionary(), config_of(architecture, DIRECTIONS, ACTIVE, STEPS)
    trainer, _ = trained(config, planted(BATCH * 200, 1, directions))
    sae, tokens = finished(trainer, config, planted(5_000, 2, directions)), planted(5_000, 3, directions)
    found = matches(directions, sae.weights.decoder, least=0.0)
    code = sae.encode(tokens)
    assert sum(cosine for _, _, cosine in found) / DIRECTIONS > 0.9
    assert float((code.firings == 0).double().mean()) < (0.08 if architecture in HOLDS_K else 0.15)
    if architecture in HOLDS_K:
        assert len(code.features) / len(tokens) == pytest.approx(ACTIVE, rel=0.02)


@pytest.mark.parametrize("k", [2, 32, 200])
def test_the_controller_of_jumprelu_reaches_a_low_and_a_high_l0(k: int) -> None:
    """Of 1,024 features, from two to a fifth of them."""
    config = config_of("jumprelu", 1_024, k, steps=200, rate=3e-3)
    _, l0 = trained(config, planted(BATCH * 50, 1, dictionary(256, 128), active=24))
    last = l0[-40:]
    assert sum(last) / len(last) == pytest.approx(k, rel=0.15)
    assert max(last) < 2 * k
