"""Every architecture learns hidden states of a known structure; parts and scales do not change what is learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from experiments.engine.config import ARCHITECTURES, ExperimentConfig
from experiments.engine.config.choices import HAS_AUXILIARY_LOSS, HOLDS_K
from experiments.engine.input_statistics import measure
from experiments.engine.sae import Sae, SaeDescription
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.trainer import StepOutcome, Trainer, initial_weights
from tests.engine.synthetic_source import ACTIVE, WIDTH, planted_directions, planted_states, small_config

STATES = planted_states(12_800, seed=1) - 2.5  # a small offset, so that what varies is most of it


def config_of(architecture: str, **training: float | str) -> ExperimentConfig:
    config = small_config(tokens=51_200, **{"learning_rate": 1e-2, **training})
    return replace(config, sae=replace(config.sae, architecture=architecture, sparsity_coefficient=0.3))


def begin(config: ExperimentConfig, inputs: Tensor = STATES, targets: Tensor | None = None) -> Trainer:
    statistics = measure(inputs, inputs if targets is None else targets)
    weights = initial_weights(config.sae, statistics, config.seed)
    return Trainer(config.sae, config.training, weights, statistics.scales, seed=config.seed)


def learn(trainer: Trainer, steps: int, inputs: Tensor = STATES, targets: Tensor | None = None) -> list[StepOutcome]:
    outcomes = []
    for step in range(steps):
        rows = slice(step * 128 % len(inputs), step * 128 % len(inputs) + 128)
        outcomes.append(trainer.train_on(inputs[rows], None if targets is None else targets[rows]))
    return outcomes


def finished(trainer: Trainer, config: ExperimentConfig) -> Sae:
    weights = trainer.folded_weights()
    if trainer.architecture.has_fitted_threshold:
        fit = ThresholdFit(trainer.architecture, weights, config.sae.k)
        fit.add(planted_states(4_000, seed=2) - 2.5)
        weights = fit.fitted()
    description = SaeDescription(
        config.sae.architecture, config.sae.n_features, WIDTH, config.sae.k, "builtin", 0, "resid_post", 1e9
    )
    return Sae(weights, description)


def explained(sae: Sae, inputs: Tensor, targets: Tensor) -> float:
    variance = (targets - targets.mean(0)).square().sum()
    return 1 - float((sae.reconstruct(inputs) - targets).square().sum() / variance)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_finds_the_planted_directions(architecture: str) -> None:
    config = config_of(architecture)
    trainer = begin(config)
    learn(trainer, 400)
    sae, held_out = finished(trainer, config), planted_states(2_000, seed=3) - 2.5
    assert explained(sae, held_out, held_out) > 0.8
    nearest = (planted_directions() @ sae.weights.decoder.T).amax(1)
    assert float((nearest > 0.9).double().mean()) > 0.5
    fired = len(sae.encode(held_out).features) / len(held_out)
    if architecture in HOLDS_K:
        assert fired == pytest.approx(ACTIVE, rel=0.03)
    else:
        assert fired < 8


@pytest.mark.parametrize("k", [1, 3, 12])
def test_the_controller_of_jumprelu_works_over_its_range(k: int) -> None:
    config = config_of("jumprelu")
    config = replace(config, sae=replace(config.sae, k=k))
    fired = [outcome.l0 for outcome in learn(begin(config), 200)[-40:]]
    assert sum(fired) / len(fired) == pytest.approx(k, rel=0.1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_are_a_matter_of_memory_only(architecture: str) -> None:
    config = config_of(architecture, dead_after_tokens=300, precision="float32")
    whole, parted = begin(config), begin(config)
    parted.parts = 2
    learn(whole, 12)
    learn(parted, 12)
    for name, weight in whole.weights.present().items():
        torch.testing.assert_close(parted.weights.present()[name], weight, rtol=1e-3, atol=1e-4)


def test_out_of_memory_once_the_batch_is_encoded_in_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("batchtopk")
    small, roomy = begin(config), begin(config)
    select = small.arithmetic.pre_activations

    def only_half(read: Tensor, out: Tensor | None = None) -> Tensor:
        if len(read) > 64:
            raise torch.OutOfMemoryError("not enough memory")
        return select(read, out)

    monkeypatch.setattr(small.arithmetic, "pre_activations", only_half)
    learn(small, 3)
    learn(roomy, 3)
    assert small.parts == 2
    torch.testing.assert_close(small.weights.decoder, roomy.weights.decoder, rtol=1e-3, atol=1e-4)


def test_out_of_memory_twice_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = begin(config_of("topk"))

    def never_enough(*_: object, **__: object) -> Tensor:
        raise torch.OutOfMemoryError("not enough memory")

    monkeypatch.setattr(trainer.arithmetic, "pre_activations", never_enough)
    with pytest.raises(torch.OutOfMemoryError):
        learn(trainer, 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dead_features_come_back(architecture: str) -> None:
    config = config_of(architecture, dead_after_tokens=256, resample_share=0.05)
    trainer = begin(config)
    trainer.weights.encoder_bias[:16] = -5.0  # half of them never fire
    trainer.tokens_since_fired[:16] = 10**9
    outcomes = learn(trainer, 150)
    if architecture in HAS_AUXILIARY_LOSS:
        assert outcomes[0].auxiliary_loss > 0
    else:
        assert sum(outcome.resampled for outcome in outcomes) > 0
    assert bool(trainer.weights.encoder.isfinite().all())
    if architecture not in HAS_AUXILIARY_LOSS:
        assert int((trainer.tokens_since_fired[:16] < 5_000).sum()) > 0


@pytest.mark.parametrize("architecture", ["topk", "jumprelu"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_transcoder_learns_a_map(architecture: str, skip: bool) -> None:
    random = torch.Generator().manual_seed(5)
    targets = STATES @ torch.randn(WIDTH, 10, generator=random) + 2.0
    config = config_of(architecture)
    config = replace(config, sae=replace(config.sae, output_site="mlp_out", skip=skip))
    trainer = begin(config, STATES, targets)
    outcomes = learn(trainer, 400, STATES, targets)
    assert outcomes[-1].explained_variance > (0.9 if skip else 0.6)
    description = SaeDescription(architecture, 32, WIDTH, ACTIVE, "builtin", 0, "mlp_in", 1e9, "mlp_out")
    unscaled = Sae(trainer.folded_weights(), description)
    expected = replace(unscaled, weights=trainer.weights)
    scales = trainer.scales
    torch.testing.assert_close(
        unscaled.reconstruct(STATES[:50]),
        expected.reconstruct(STATES[:50] * scales.input) / scales.output,
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("architecture", ["relu", "gated"])
def test_many_features_do_not_begin_far_from_the_hidden_states(architecture: str) -> None:
    """A ReLU SAE of 4,096 features on 16 numbers would begin with an error of thousands, and be stopped."""
    config = config_of(architecture)
    config = replace(config, sae=replace(config.sae, n_features=4_096))
    assert learn(begin(config), 1)[0].loss < 2
