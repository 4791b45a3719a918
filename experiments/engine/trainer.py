"""One training step of a TopK SAE, and everything that changes from step to step.

Recipe: Gao et al. 2024 (arXiv:2406.04093), with the scaling of the learning rate of their section 3. Loss: the squared
error summed over the width and averaged over the batch, of inputs with mean squared norm one; so it is close to the
share of variance that is not explained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.config import SaeConfig, TrainingConfig
from experiments.engine.input_statistics import InputStatistics
from experiments.engine.kernels import Adam, SparseCode, Weights
from experiments.engine.segments import WEIGHTS, random_numbers

# The mean squared error of inputs of mean squared norm one starts below one; this is beyond any recovery.
DIVERGED_LOSS = 100.0


class TrainingDiverged(ValueError):  # noqa: N818 - named for what happened, as it reads where it is caught
    """The loss left the numbers that training can return from; the last checkpoint is from before."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"Training diverged at step {step:,}: {reason}. A lower learning rate may help.")
        self.step = step


@dataclass(frozen=True)
class StepOutcome:
    """What one step saw, on its batch and before its update."""

    loss: float
    auxiliary_loss: float
    gradient_norm: float
    learning_rate: float
    explained_variance: float
    l0: float


def default_learning_rate(n_features: int) -> float:
    """2e-4 / sqrt(n_features / 2^14): the scaling law that Gao et al. 2024 fitted."""
    return float(2e-4 / math.sqrt(n_features / 2**14))


def scheduled_learning_rate(config: TrainingConfig, n_features: int, step: int) -> float:
    """Linear warm-up over the first share of the steps, constant, linear decay towards zero over the last share."""
    peak = config.learning_rate or default_learning_rate(n_features)
    warmup = (step + 1) / max(1.0, config.warmup_share * config.steps)
    decay = (config.steps - step) / max(1.0, config.decay_share * config.steps)
    return peak * min(1.0, warmup, decay)


def initial_weights(sae: SaeConfig, statistics: InputStatistics, seed: int) -> Weights:
    """Random unit decoder rows, encoder equal to the decoder, no encoder bias, b_dec at the inputs' median.

    Drawn on the CPU with numpy's generator, so that every device starts from the same weights.
    """
    centre = statistics.centre
    drawn = random_numbers(seed, WEIGHTS).standard_normal((sae.n_features, len(centre)), dtype="float32")
    decoder = torch.from_numpy(drawn).clone()  # numpy aligns less, and kernels round differently at odd addresses
    kernels.normalise_rows_(decoder)
    decoder = decoder.to(centre.device)
    return Weights(decoder.clone(), torch.zeros(sae.n_features, device=centre.device), decoder, centre.clone())


class Trainer:
    """The weights, Adam's moments and the firing record of an SAE in training."""

    def __init__(self, sae: SaeConfig, config: TrainingConfig, weights: Weights, scale: float, step: int = 0) -> None:
        self.weights, self.scale, self.step = weights, scale, step
        self.tokens_since_fired = torch.zeros(sae.n_features, dtype=torch.int64, device=weights.decoder.device)
        self.adam = Adam(weights, config.adam_beta1, config.adam_beta2, config.adam_epsilon)
        self._sae, self._config = sae, config
        self._aux_k = config.aux_k or max(1, weights.decoder.shape[1] // 2)
        self._pre_activations = torch.empty(0, device=weights.decoder.device)

    @property
    def dead_share(self) -> float:
        return float(self._dead().float().mean())

    def folded_weights(self) -> Weights:
        """The weights for hidden states as the model has them: the scale goes into the biases.

        With x' = scale x, TopK and ReLU commute with a positive factor, so f' / scale solves the unscaled problem.
        """
        encoder, encoder_bias, decoder, decoder_bias = self.weights
        return Weights(encoder, encoder_bias / self.scale, decoder, decoder_bias / self.scale)

    @torch.no_grad()
    def train_on(self, hidden_states: Tensor) -> StepOutcome:
        """One step on unscaled float32 hidden states [T, width]. Raises TrainingDiverged before it would do harm."""
        inputs = hidden_states * self.scale
        pre = kernels.pre_activations(inputs, self.weights, out=self._buffer(len(inputs)))
        code = kernels.select_top_k(pre, self._sae.k)
        miss = kernels.decode(code, self.weights) - inputs  # [T, width]
        loss = float(miss.square().sum(1).mean())
        self._refuse_divergence(loss)

        gradients = kernels.gradients(inputs, code, self.weights, miss * (2 / len(miss)))
        auxiliary_loss = self._revive_dead_features(gradients, pre, inputs, -miss)
        kernels.remove_parallel_part(gradients.decoder, self.weights.decoder)
        gradient_norm = kernels.clip_(gradients, self._config.clip_norm)
        self._refuse_divergence(gradient_norm, largest=math.inf)

        learning_rate = scheduled_learning_rate(self._config, self._sae.n_features, self.step)
        self.adam.update(gradients, learning_rate)
        kernels.normalise_rows_(self.weights.decoder)
        self._record_firing(code)
        self.step += 1
        fired = int(code.activations.count_nonzero()) / len(inputs)
        explained = _explained_variance(inputs, loss)
        return StepOutcome(loss, auxiliary_loss, gradient_norm, learning_rate, explained, fired)

    def _buffer(self, tokens: int) -> Tensor:
        """Room for the pre-activations [T, N], kept from step to step: fresh pages cost more than the sums in them."""
        if len(self._pre_activations) != tokens:
            self._pre_activations = torch.empty(tokens, self._sae.n_features, device=self.weights.decoder.device)
        return self._pre_activations

    def _dead(self) -> Tensor:
        return self.tokens_since_fired >= self._config.dead_after

    def _revive_dead_features(self, gradients: Weights, pre: Tensor, inputs: Tensor, residual: Tensor) -> float:
        dead = self._dead().nonzero().squeeze(1)
        if len(dead) == 0 or self._config.aux_k_coefficient == 0:
            return 0.0
        return kernels.add_auxiliary_gradients(
            gradients, pre, inputs, residual, self.weights, dead, self._aux_k, self._config.aux_k_coefficient
        )

    def _record_firing(self, code: SparseCode) -> None:
        self.tokens_since_fired += len(code.indices)
        self.tokens_since_fired[code.indices[code.activations > 0]] = 0

    def _refuse_divergence(self, value: float, largest: float = DIVERGED_LOSS) -> None:
        if not math.isfinite(value):
            raise TrainingDiverged(self.step, "a number became infinite or undefined")
        if value > largest:
            raise TrainingDiverged(self.step, f"the error is {value:,.0f} times the size of the hidden states")


def _explained_variance(inputs: Tensor, loss: float) -> float:
    """1 - E|x - x^|^2 / (E|x|^2 - |E x|^2) on one batch; 0 where the inputs do not vary."""
    variance = float((inputs - inputs.mean(0)).square().sum(1).mean())
    return 1 - loss / variance if variance > 0 else 0.0
