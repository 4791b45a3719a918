"""The step of every architecture against autograd over dense matrices in float64; what fires, against its equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from experiments.engine.architectures import Batch, architecture_of
from experiments.engine.architectures.matryoshka import prefixes
from experiments.engine.config import ARCHITECTURES, SaeConfig
from experiments.engine.kernels import Weights
from tests.engine.random_sae import as_dense, random_states, random_weights

TOKENS, WIDTH, FEATURES, K = 60, 8, 64, 5
BANDWIDTH, COEFFICIENT = 0.4, 0.03


class Loss(NamedTuple):
    """What autograd is given: features [T, N], and the loss."""

    features: Tensor
    loss: Tensor


Definition = Callable[[Tensor, Tensor, Weights], Loss]


def sae(name: str, **changes: object) -> SaeConfig:
    return replace(SaeConfig(name, FEATURES, K, COEFFICIENT, BANDWIDTH), **changes)  # type: ignore[arg-type]


def extended(name: str, weights: Weights) -> Weights:
    some = random_states(2, FEATURES, seed=9)
    if name == "jumprelu":
        return weights._replace(threshold=some[0].abs() + 1.5)
    if name == "gated":
        return weights._replace(magnitude_log_scale=0.2 * some[0], magnitude_bias=0.1 * some[1])
    return weights


def pre_of(x: Tensor, w: Weights) -> Tensor:
    return (x - w.decoder_bias) @ w.encoder.T + w.encoder_bias


def squared(x_hat: Tensor, y: Tensor) -> Tensor:
    return (x_hat - y).square().sum(1).mean()


def topk(x: Tensor, y: Tensor, w: Weights) -> Loss:
    pre = pre_of(x, w)
    kept = torch.zeros_like(pre).scatter(1, pre.topk(K, dim=1).indices, 1.0)
    features = pre.relu() * kept
    return Loss(features, squared(features @ w.decoder + w.decoder_bias, y))


def batch_features(x: Tensor, w: Weights) -> Tensor:
    pre = pre_of(x, w)
    return pre * (pre >= pre.flatten().topk(K * len(x)).values[-1])


def batchtopk(x: Tensor, y: Tensor, w: Weights) -> Loss:
    features = batch_features(x, w)
    return Loss(features, squared(features @ w.decoder + w.decoder_bias, y))


def matryoshka(x: Tensor, y: Tensor, w: Weights) -> Loss:
    features = batch_features(x, w)
    losses = [squared(features[:, :m] @ w.decoder[:m] + w.decoder_bias, y) for m in prefixes(FEATURES)]
    return Loss(features, torch.stack(losses).sum())


def relu(x: Tensor, y: Tensor, w: Weights) -> Loss:
    features = pre_of(x, w).relu()
    return Loss(features, squared(features @ w.decoder + w.decoder_bias, y) + COEFFICIENT * features.sum(1).mean())


def gated(x: Tensor, y: Tensor, w: Weights) -> Loss:
    assert w.magnitude_log_scale is not None
    u = (x - w.decoder_bias) @ w.encoder.T
    gate = u + w.encoder_bias
    features = (gate > 0) * (u * w.magnitude_log_scale.exp() + w.magnitude_bias).relu()
    frozen = gate.relu() @ w.decoder.detach() + w.decoder_bias.detach()
    loss = squared(features @ w.decoder + w.decoder_bias, y) + squared(frozen, y)
    return Loss(features, loss + COEFFICIENT * gate.relu().sum(1).mean())


class Step(torch.autograd.Function):
    """[p > theta] with the rectangular kernel of Rajamanoharan et al. 2024 (equation 11) as its gradient."""

    @staticmethod
    def forward(context, pre: Tensor, thresholds: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
        context.save_for_backward(pre, thresholds)
        return (pre > thresholds).to(pre.dtype)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[no-untyped-def, override]
        pre, thresholds = context.saved_tensors
        near = ((pre - thresholds).abs() < BANDWIDTH / 2).to(pre.dtype)
        return None, -(gradient * near / BANDWIDTH).sum(0)


def jumprelu(x: Tensor, y: Tensor, w: Weights) -> Loss:
    """Without its price of sparsity, which is tested apart."""
    pre = pre_of(x, w)
    # JumpReLU's own gradient with respect to theta has theta, not p, before the kernel (their equation 12).
    fires = Step.apply(pre, w.threshold)
    features = pre * (pre > w.threshold)
    surrogate = features + (w.threshold.detach() * (fires - fires.detach()))  # type: ignore[union-attr]
    return Loss(features, squared(surrogate @ w.decoder + w.decoder_bias, y))


DEFINITIONS: dict[str, Definition] = {
    "topk": topk,
    "batchtopk": batchtopk,
    "matryoshka": matryoshka,
    "jumprelu": jumprelu,
    "relu": relu,
    "gated": gated,
}


def test_every_architecture_has_a_definition_here() -> None:
    assert set(DEFINITIONS) == set(ARCHITECTURES)


@pytest.mark.parametrize("shift", [0.0, -4.0], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_step_has_the_gradients_of_its_loss(name: str, shift: float) -> None:
    states, weights = random_states(TOKENS, WIDTH), extended(name, random_weights(WIDTH, FEATURES))
    weights.encoder_bias.add_(shift)
    leaves = weights.map(lambda weight: weight.clone().requires_grad_())
    expected = DEFINITIONS[name](states, states, leaves)
    torch.autograd.backward(expected.loss)

    architecture = architecture_of(sae(name))
    read = architecture.read(states, weights)
    pre = architecture.pre_activations(states, weights)
    candidates = architecture.candidates(pre, TOKENS)
    cutoff = 0.0 if candidates is None else architecture.cutoff(candidates, TOKENS)
    code = architecture.select(pre, weights, cutoff)
    result = architecture.step(Batch(states, states, read, TOKENS), code, weights)

    torch.testing.assert_close(as_dense(result.code), expected.features.detach())
    loss = float(result.miss.square().sum(1).mean()) + result.penalty
    assert loss == pytest.approx(float(expected.loss.detach()))
    found = result.gradients.present()
    assert set(found) == set(weights.present())
    for field, leaf in leaves.present().items():
        torch.testing.assert_close(
            found[field], leaf.grad, rtol=1e-5, atol=1e-9, msg=lambda text, field=field: f"{field}: {text}"
        )


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ["topk", "jumprelu"])
def test_a_transcoder_reads_one_space_and_reconstructs_another(name: str, skip: bool) -> None:
    states, targets = random_states(TOKENS, WIDTH), random_states(TOKENS, 6, seed=2)
    base = random_weights(WIDTH, FEATURES)
    weights = base._replace(decoder=random_weights(6, FEATURES).decoder, decoder_bias=random_states(1, 6)[0])
    if skip:
        weights = weights._replace(skip=random_states(6, WIDTH, seed=5))
    if name == "jumprelu":
        weights = extended(name, weights)
    leaves = weights.map(lambda weight: weight.clone().requires_grad_())
    pre = states @ leaves.encoder.T + leaves.encoder_bias
    if name == "topk":
        features = pre.relu() * torch.zeros_like(pre).scatter(1, pre.topk(K, dim=1).indices, 1.0)
    else:
        fires = Step.apply(pre, leaves.threshold)
        features = pre * (pre > leaves.threshold) + leaves.threshold.detach() * (fires - fires.detach())  # type: ignore[union-attr]
    output = features @ leaves.decoder + leaves.decoder_bias
    if leaves.skip is not None:
        output = output + states @ leaves.skip.T
    torch.autograd.backward(squared(output, targets))

    architecture = architecture_of(sae(name, output_site="mlp_out", skip=skip))
    code = architecture.select(architecture.pre_activations(states, weights), weights, 0.0)
    result = architecture.step(Batch(states, targets, states, TOKENS), code, weights)
    torch.testing.assert_close(result.miss + targets, output.detach())
    for field, leaf in leaves.present().items():
        torch.testing.assert_close(result.gradients.present()[field], leaf.grad, rtol=1e-5, atol=1e-9)


def test_the_price_of_sparsity_leaves_the_common_factor_of_the_thresholds_alone() -> None:
    states, weights = random_states(TOKENS, WIDTH), extended("jumprelu", random_weights(WIDTH, FEATURES))
    architecture = architecture_of(sae("jumprelu"))
    code = architecture.select(architecture.pre_activations(states, weights), weights, 0.0)
    batch = Batch(states, states, architecture.read(states, weights), TOKENS)
    result = architecture.step(batch, code, weights)
    settled = architecture.settled(result, weights)
    assert settled.threshold is not None
    assert float((settled.threshold * weights.threshold).sum()) == pytest.approx(0.0, abs=1e-9)
    assert not settled.threshold.equal(result.gradients.threshold)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_code_of_a_token_does_not_depend_on_its_batch(name: str) -> None:
    states, weights = random_states(TOKENS, WIDTH), extended(name, random_weights(WIDTH, FEATURES))
    architecture = architecture_of(sae(name))
    if name in ("batchtopk", "matryoshka"):
        weights = architecture.with_factor(weights, 2.0)
    together = architecture.features_of(architecture.pre_activations(states, weights), weights)
    alone = [architecture.features_of(architecture.pre_activations(row[None], weights), weights) for row in states]
    torch.testing.assert_close(torch.cat([as_dense(code) for code in alone]), as_dense(together))
    torch.testing.assert_close(as_dense(together), _fires_after_training(name, states, weights))


def _fires_after_training(name: str, states: Tensor, weights: Weights) -> Tensor:
    if name in ("batchtopk", "matryoshka", "jumprelu"):
        pre = pre_of(states, weights)
        return pre * (pre > weights.threshold)
    return DEFINITIONS[name](states, states, weights).features


def test_no_threshold_no_code() -> None:
    weights = random_weights(WIDTH, FEATURES)
    architecture = architecture_of(sae("batchtopk"))
    with pytest.raises(ValueError, match="has not been fitted"):
        architecture.features_of(architecture.pre_activations(random_states(2, WIDTH), weights), weights)


@pytest.mark.parametrize(
    ("features", "sizes"), [(64, (2, 6, 14, 30, 64)), (4_096, (128, 384, 896, 1_920, 4_096)), (2, (1, 1, 1, 1, 2))]
)
def test_the_prefixes_of_a_matryoshka_sae(features: int, sizes: tuple[int, ...]) -> None:
    assert prefixes(features) == sizes


def test_the_controller_moves_all_thresholds_towards_k() -> None:
    weights = extended("jumprelu", random_weights(WIDTH, FEATURES))
    assert weights.threshold is not None
    before = weights.threshold.clone()
    architecture = architecture_of(sae("jumprelu"))
    architecture._common = float(before.log().mean())  # type: ignore[attr-defined]
    architecture.adjust(weights, l0=2.0 * K)
    assert bool((weights.threshold > before).all())
    architecture.adjust(weights, l0=K / 4)
    assert bool((weights.threshold < before).all())
