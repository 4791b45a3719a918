"""Gated: whether a feature fires and how strongly are decided apart, so that the penalty does not shrink it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures.architecture import Architecture, Batch, StepResult
from experiments.engine.kernels import Code, SparseCode, Weights


class Gated(Architecture):
    """g = u + b_gate, m = exp(r_mag) u + b_mag with u = (x - b_dec) W_enc^T; f = [g > 0] ReLU(m), x^ = f W_dec + b_dec.

    Loss E|x - x^|^2 + c E|ReLU(g)|_1 + E|x - ReLU(g) W_dec - b_dec|^2, decoder and b_dec constant in the last term
    (Rajamanoharan et al. 2024, arXiv:2404.16014). c is the `sparsity_coefficient`.
    """

    revival = "resampling"
    fires_densely_at_first = True

    def extra_weights(self, pre: Tensor) -> Mapping[str, Tensor]:
        zeros = torch.zeros(pre.shape[1], device=pre.device)
        return {"magnitude_log_scale": zeros, "magnitude_bias": zeros.clone()}

    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        code = kernels.keep_above(pre, 0.0)
        return code.with_activations(_magnitudes(code, weights).relu_()).firing()

    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> Code:
        return kernels.keep_all_above_zero(pre)

    def step(self, batch: Batch, code: Code, weights: Weights) -> StepResult:
        gate = code  # its activations are ReLU(g)
        magnitudes = gate.taking_part(_magnitudes(gate, weights))
        code = gate.with_activations(magnitudes.relu())
        miss, magnitude_pulls = self.fit(batch, code, weights)
        gate_miss, gate_pulls = self.fit(batch, gate, weights)
        error = miss * (2 / batch.tokens)
        price = self.sae.sparsity_coefficient / batch.tokens
        magnitude_pulls.mul_(code.activations > 0)
        gate_pulls = gate.taking_part(gate_pulls.add_(price))
        gradients = self._gradients(batch, code, (magnitude_pulls, gate_pulls), error, weights)
        penalty = price * gate.activations.sum() + gate_miss.square().sum() / batch.tokens
        return StepResult(gradients, miss, code, penalty)

    def _gradients(
        self, batch: Batch, code: Code, pulls: tuple[Tensor, Tensor], error: Tensor, weights: Weights
    ) -> Weights:
        assert weights.magnitude_log_scale is not None, "a gated SAE has one"
        of_magnitude, of_gate = pulls
        scaled = of_magnitude * code.spread(weights.magnitude_log_scale.exp())  # what reaches u through m
        gradients = self.gradients(batch, code, scaled + of_gate, error, weights)
        bias = code.total_by_feature(of_magnitude)
        # dm / dr_mag = exp(r_mag) u = m - b_mag
        assert weights.magnitude_bias is not None, "a gated SAE has one"
        growth = of_magnitude * (code.activations - code.spread(weights.magnitude_bias))
        return gradients._replace(
            encoder_bias=code.total_by_feature(of_gate),
            magnitude_bias=bias,
            magnitude_log_scale=code.total_by_feature(growth),
        )


def _magnitudes(gate: Code, weights: Weights) -> Tensor:
    """exp(r_mag) (g - b_gate) + b_mag for every entry of the gate's code."""
    assert weights.magnitude_log_scale is not None, "a gated SAE has one"
    assert weights.magnitude_bias is not None, "a gated SAE has one"
    shifted = gate.activations - gate.spread(weights.encoder_bias)
    return shifted * gate.spread(weights.magnitude_log_scale.exp()) + gate.spread(weights.magnitude_bias)
