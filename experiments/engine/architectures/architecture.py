"""What all kinds of SAE share, and what each of them says for itself.

An SAE encodes a hidden state x into features f, of which few fire, and decodes them: x^ = f W_dec + b_dec. It is
trained on the squared error of x^ and whatever its kind adds to that. A transcoder is an SAE that reads one hidden
state and reconstructs another one, y^ = f W_dec + b_dec (+ W_skip x); b_dec, which belongs to y, is not taken from x.
(Dunefsky et al. 2024, arXiv:2406.11944; the skip connection: Paulo et al. 2025, arXiv:2501.18823.)
Shapes: T tokens, W width of what is read, W' of what is reconstructed (equal but for a transcoder), N features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.config import SaeConfig
from experiments.engine.kernels import Code, SparseCode, Weights


@dataclass(frozen=True)
class Batch:
    """The tokens of one step: what is read and what is to be reconstructed, both scaled.

    `tokens` is the number of tokens of the whole step, of which a process of several holds only some.
    """

    inputs: Tensor  # [T, W]
    targets: Tensor  # [T, W'], the inputs themselves but for a transcoder
    read: Tensor  # [T, W or more], what the encoder reads of the inputs
    tokens: int


class StepResult(NamedTuple):
    """What one step found: the gradients of the loss, summed over these tokens and divided by the step's."""

    gradients: Weights
    miss: Tensor  # reconstruction - target [T, W']
    code: Code  # what fires
    penalty: Tensor  # [] what the architecture adds to the squared error, its share of these tokens
    sparsity: Tensor | None = None  # [N] d E|f|_0 / d threshold, which has no price yet


class Architecture(ABC):
    """One kind of SAE. Holds no weights: it says what is done with those it is given."""

    revival: ClassVar[Literal["auxiliary loss", "resampling"]] = "auxiliary loss"
    has_fitted_threshold: ClassVar[bool] = False
    fires_densely_at_first: ClassVar[bool] = False  # nothing but training makes it sparse

    def __init__(self, sae: SaeConfig) -> None:
        self.sae = sae

    def extra_weights(self, pre: Tensor) -> Mapping[str, Tensor]:
        """The weights beside encoder, decoder and their biases, given the first pre-activations [T, N]."""
        return {}

    def pre_activations(self, inputs: Tensor, weights: Weights, out: Tensor | None = None) -> Tensor:
        """(x - b_dec) W_enc^T + b_enc for every feature (a transcoder: x W_enc^T + b_enc): [T, W] -> [T, N]."""
        read = self.read(inputs, weights)
        return kernels.pre_activations(read, weights.encoder, weights.encoder_bias, out)

    def read(self, inputs: Tensor, weights: Weights) -> Tensor:
        """What the encoder reads of hidden states [T, W]: x - b_dec, and of a transcoder x."""
        return inputs if self.sae.is_transcoder else inputs - weights.decoder_bias

    @abstractmethod
    def features_of(self, pre: Tensor, weights: Weights) -> SparseCode:
        """What fires, token by token, once training is over: [T, N] -> code. Never depends on other tokens."""

    @abstractmethod
    def select(self, pre: Tensor, weights: Weights, cutoff: Tensor | float) -> Code:
        """The entries that take part in a training step: [T, N] -> code."""

    def candidates(self, pre: Tensor, tokens: int) -> Tensor | None:
        """The values among which the cutoff of a step of `tokens` tokens is found; None where each decides alone."""
        return None

    def cutoff(self, candidates: Tensor, tokens: int) -> Tensor | float:
        """The cutoff of a step, from the candidates of all its parts."""
        raise NotImplementedError("only an architecture with candidates has a cutoff")

    def step(self, batch: Batch, code: Code, weights: Weights) -> StepResult:
        """Loss E|x - x^|^2 over the code: its gradients. Architectures with other losses have steps of their own."""
        miss, pulls = self.fit(batch, code, weights)
        error = miss * (2 / batch.tokens)  # d loss / d reconstruction
        pulls.mul_(code.activations > 0)
        return StepResult(self.gradients(batch, code, pulls, error, weights), miss, code, miss.new_zeros(()))

    def fit(self, batch: Batch, code: Code, weights: Weights) -> tuple[Tensor, Tensor]:
        """The reconstruction minus the targets [T, W'], and what E|x - x^|^2 pulls at every entry with."""
        targets = batch.targets
        if weights.skip is not None:
            targets = torch.addmm(targets, batch.inputs, weights.skip.T, alpha=-1)
        return code.fit(weights.decoder, weights.decoder_bias, targets, 2 / batch.tokens)

    def reconstruct(self, inputs: Tensor, code: Code, weights: Weights) -> Tensor:
        """f W_dec + b_dec, and W_skip x where there is a skip connection: [T, W']."""
        reconstruction = code.decode(weights.decoder).add_(weights.decoder_bias)
        if weights.skip is not None:
            reconstruction.addmm_(inputs, weights.skip.T)
        return reconstruction

    def gradients(self, batch: Batch, code: Code, pulls: Tensor, error: Tensor, weights: Weights) -> Weights:
        """The gradients that follow from `pulls`, those of the pre-activations, and from `error` [T, W'].

        With g the error, a an activation and d its pull: decoder += a g, encoder += d (x - b_dec), encoder_bias += d,
        decoder_bias += g - d W_enc, skip += g x; a transcoder has no b_dec in its encoder.
        """
        totals, decoder_bias = code.total_by_feature(pulls), error.sum(0)
        if not self.sae.is_transcoder:
            decoder_bias -= kernels.weighted_total(weights.encoder, totals)
        width = weights.encoder.shape[1]
        return Weights(
            code.sum_by_feature(batch.read[:, :width], pulls),
            totals,
            code.sum_by_feature(error, code.activations),
            decoder_bias,
            skip=None if weights.skip is None else error.T @ batch.inputs,
        )

    def settled(self, result: StepResult, weights: Weights) -> Weights:
        """The gradients, once they are summed over all tokens of the step."""
        return result.gradients

    def adjust(self, weights: Weights, l0: float) -> None:  # noqa: B027 - most have nothing to adjust
        """Brings the weights back to where the architecture wants them, in place, after a step with this mean L0."""

    def scores(self, pre: Tensor, weights: Weights) -> Tensor:
        """For the fit: a feature fires where its score [T, N] is above the factor that `with_factor` puts in."""
        raise NotImplementedError("only an architecture with a fitted threshold has scores")

    def with_factor(self, weights: Weights, factor: float) -> Weights:
        """The weights with the fitted factor in their thresholds."""
        raise NotImplementedError("only an architecture with a fitted threshold has a factor")
