"""One training step of an SAE of any architecture, and everything that changes from step to step.

Recipe: Gao et al. 2024 (arXiv:2406.04093). Loss: the squared error summed over the width and averaged over the batch,
of targets with mean squared norm one; so it is close to the share of variance that is not explained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.architectures import Architecture, Batch, StepResult, architecture_of
from experiments.engine.config import SaeConfig, TrainingConfig
from experiments.engine.dead_features import add_auxiliary_gradients, resample_
from experiments.engine.folding import folded
from experiments.engine.input_statistics import InputStatistics, Scales
from experiments.engine.kernels import Adam, Code, DenseCode, Weights
from experiments.engine.processes import ALONE, Processes
from experiments.engine.processor_threads import one_thread_for_little
from experiments.engine.schedules import scheduled_learning_rate
from experiments.engine.segments import RESAMPLING, WEIGHTS, random_numbers

# The mean squared error of inputs of mean squared norm one starts below one; this is beyond any recovery.
DIVERGED_LOSS = 100.0
SMALLEST_NORM = 1e-30


class TrainingDiverged(ValueError):  # noqa: N818 - named for what happened, as it reads where it is caught
    """The loss left the numbers that training can return from; the last checkpoint is from before."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"Training diverged at step {step:,}: {reason}. A lower learning rate may help.")
        self.step = step


@dataclass(frozen=True)
class StepOutcome:
    """What one step saw, on its batch and before its update."""

    loss: float
    penalty: float
    auxiliary_loss: float
    gradient_norm: float
    learning_rate: float
    explained_variance: float
    l0: float
    resampled: int


class _Seen(NamedTuple):
    """What the host reads of a step: fields of its StepOutcome."""

    loss: float
    penalty: float
    auxiliary_loss: float
    gradient_norm: float
    explained_variance: float
    l0: float


def initial_weights(sae: SaeConfig, statistics: InputStatistics, seed: int) -> Weights:
    """Random unit decoder rows, encoder equal to the decoder, no encoder bias, b_dec at the targets' median.

    A transcoder, whose decoder lives in another space, draws an encoder of its own and begins with the inputs centred.
    Drawn on the CPU with numpy's generator, so that every device starts from the same weights.
    """
    width, output_width = len(statistics.mean), len(statistics.centre)
    device = statistics.centre.device
    random = random_numbers(seed, WEIGHTS)
    decoder = _random_rows(random, sae.n_features, output_width).to(device)
    if sae.is_transcoder:
        encoder = _random_rows(random, sae.n_features, width).to(device)
        bias = -(encoder @ statistics.mean)
    else:
        encoder, bias = decoder.clone(), torch.zeros(sae.n_features, device=device)
    skip = torch.zeros(output_width, width, device=device) if sae.skip else None
    weights = Weights(encoder, bias, decoder, statistics.centre.clone(), skip=skip)
    architecture = architecture_of(sae)
    if architecture.fires_densely_at_first:
        weights.encoder.mul_(_reconstructing_factor(architecture, statistics.inputs, weights))
    extra = architecture.extra_weights(architecture.pre_activations(statistics.inputs, weights))
    return weights._replace(**extra)


def _reconstructing_factor(architecture: Architecture, inputs: Tensor, weights: Weights) -> float:
    """The factor of the encoder with which half of the features firing together reconstruct the inputs best.

    With an encoder as long as the decoder their sum is n_features / 2 W times too long (Gao et al. 2024, appendix A.1).
    """
    code = kernels.keep_all_above_zero(architecture.pre_activations(inputs, weights))
    rebuilt = code.decode(weights.decoder)
    wanted = ((inputs - weights.decoder_bias) * rebuilt).sum() / rebuilt.square().sum().clamp_min(1e-12)
    return float(wanted)


class Trainer:
    """The weights, Adam's moments and the firing record of an SAE in training.

    `parts` says in how many parts the pre-activations of a batch are computed: more need less memory, and give the same
    step. `processes` are those among which the tokens of every batch are shared out; see `join`.
    """

    def __init__(
        self,
        sae: SaeConfig,
        config: TrainingConfig,
        weights: Weights,
        scales: Scales,
        *,
        step: int = 0,
        seed: int = 0,
    ) -> None:
        self.weights, self.scales, self.step, self.parts = weights, scales, step, 1
        self.processes = ALONE
        self.architecture = architecture_of(sae)
        self.last_l0 = float(sae.k)
        self.tokens_since_fired = torch.zeros(sae.n_features, dtype=torch.int64, device=weights.decoder.device)
        self.arithmetic = kernels.arithmetic_of(weights, config.precision)
        self.adam = Adam(weights, config.adam_beta1, config.beta2, config.adam_epsilon)
        self._sae, self._config, self._seed = sae, config, seed
        self._aux_k = config.aux_k or max(1, min(sae.k, weights.decoder.shape[1] // 2))
        self._pre_activations = torch.empty(0, device=weights.decoder.device)  # kept from step to step
        self._may_have_dead = True

    def join(self, processes: Processes) -> None:
        """Shares the batches with `processes` from now on; all go on from the weights that the first has."""
        self.processes = processes
        if processes.count == 1:
            return
        for weight in self.weights.present().values():
            processes.take_first_(weight)
        scales = torch.tensor([self.scales.input, self.scales.output], dtype=torch.float64)
        scales = scales.to(self.weights.decoder.device)
        processes.take_first_(scales)
        self.scales = Scales(*scales.tolist())

    @property
    def dead_share(self) -> float:
        return float(self._dead().float().mean())

    def folded_weights(self) -> Weights:
        """The weights for hidden states as the model has them."""
        return folded(self.weights, self.scales)

    @torch.no_grad()
    def train_on(self, inputs: Tensor, targets: Tensor | None = None) -> StepOutcome:
        """One step on unscaled float32 hidden states [T, W] (and [T, W']). Raises TrainingDiverged before it does harm.

        Out of memory on a GPU, the pre-activations are computed in two parts from then on; once.
        """
        with one_thread_for_little(inputs.numel() * self._sae.n_features):
            return self._train_on(inputs, inputs if targets is None else targets)

    def _train_on(self, inputs: Tensor, targets: Tensor) -> StepOutcome:
        batch = self._batch(inputs, targets)
        try:
            code, auxiliary = self._select(batch)
        except torch.OutOfMemoryError:
            if self.parts > 1:
                raise
            self.parts, self._pre_activations = 2, torch.empty(0, device=inputs.device)
            code, auxiliary = self._select(batch)
        result = self.architecture.step(batch, code, self.arithmetic.weights)
        sums = self._sums(batch, result)
        auxiliary_loss = sums.new_zeros(()) if auxiliary is None else self._add_auxiliary(result, batch, auxiliary)
        gradients = self._settled(result)
        norm, along = kernels.tangent_norm(gradients, self.weights.decoder)
        seen = self._read(sums, auxiliary_loss, norm, batch.tokens)
        self._refuse_divergence(seen.loss)
        self._refuse_divergence(seen.gradient_norm, largest=math.inf)

        learning_rate = scheduled_learning_rate(self._config, self._sae.n_features, self.step)
        scale = min(1.0, self._config.clip_norm / max(seen.gradient_norm, SMALLEST_NORM))
        self.adam.update(gradients, learning_rate, along=along, scale=scale, copies=self.arithmetic.copies)
        self.architecture.adjust(self.weights, seen.l0)
        self._record_firing(result.code, batch.tokens)
        self.last_l0 = seen.l0
        resampled = self._resample_if_due(batch, result)
        self.step += 1
        return StepOutcome(**seen._asdict(), learning_rate=learning_rate, resampled=resampled)

    def _batch(self, inputs: Tensor, targets: Tensor) -> Batch:
        """The scaled tokens of this process."""
        mine = self.processes.share(len(inputs))
        scaled = inputs[mine] * self.scales.input
        read = self.arithmetic.read(self.architecture.read(scaled, self.weights))
        return Batch(scaled, scaled if targets is inputs else targets[mine] * self.scales.output, read, len(inputs))

    def _select(self, batch: Batch) -> tuple[Code, kernels.SparseCode | None]:
        """Encode and select: the code of the step, and that of the dead features which explain what it misses."""
        parts = torch.chunk(batch.read, self.parts)
        pre = self._pre(parts[0])
        cutoff: Tensor | float = 0.0
        candidates = self.architecture.candidates(pre, batch.tokens)
        if candidates is not None:
            others = [self.architecture.candidates(self._pre(part), batch.tokens) for part in parts[1:]]
            found = torch.cat([candidates, *(values for values in others if values is not None)])
            cutoff = self.architecture.cutoff(self.processes.gathered(found), batch.tokens)
        dead = self._dead_to_revive()
        codes: list[Code] = []
        auxiliary: list[kernels.SparseCode] = []
        for number, part in enumerate(parts):
            if len(parts) > 1 and (number > 0 or candidates is not None):
                pre = self._pre(part)
            codes.append(self.architecture.select(pre, self.weights, cutoff))
            if dead is not None:
                auxiliary.append(kernels.keep_largest_per_token_of(pre, dead, self._aux_k))
        return _joined(codes), kernels.concatenated(auxiliary) if auxiliary else None

    def _pre(self, read: Tensor) -> Tensor:
        """Pre-activations [T, N], in memory kept from step to step: fresh pages cost more than the sums in them."""
        if len(self._pre_activations) != len(read):
            self._pre_activations = read.new_empty(len(read), self._sae.n_features)
        return self.arithmetic.pre_activations(read, out=self._pre_activations)

    def _dead(self) -> Tensor:
        return self.tokens_since_fired >= self._config.dead_after

    def _dead_to_revive(self) -> Tensor | None:
        is_wanted = self.architecture.revival == "auxiliary loss" and self._config.aux_k_coefficient != 0
        if not is_wanted or not self._may_have_dead:
            return None
        dead = self._dead().nonzero().squeeze(1)
        return dead if len(dead) else None

    def _sums(self, batch: Batch, result: StepResult) -> Tensor:
        """Over all tokens of the step: sums of squared error, penalty, L0 and squared targets; square of their mean."""
        sums = torch.stack(
            [
                result.miss.square().sum(),
                result.penalty * batch.tokens,
                result.code.firings.sum().to(result.miss.dtype),
                batch.targets.square().sum(),
            ]
        )
        self.processes.sum_(sums)
        total = batch.targets.sum(0)
        self.processes.sum_(total)
        return torch.cat([sums, (total / batch.tokens).square().sum()[None]])

    def _read(self, sums: Tensor, auxiliary_loss: Tensor, gradient_norm: Tensor, tokens: int) -> _Seen:
        """What the host has to know of a step, in one transfer: on a GPU each one waits for all that was asked for."""
        # After the next `tokens` some feature may be dead; as long as none can be, nobody need ask which are.
        may_have_dead = (self.tokens_since_fired >= self._config.dead_after - tokens).any()
        numbers = torch.stack([auxiliary_loss, gradient_norm, may_have_dead.to(sums.dtype)])
        read: list[float] = torch.cat([sums, numbers]).tolist()
        loss, penalty, l0, square = (number / tokens for number in read[:4])
        square_of_mean, auxiliary, norm, self._may_have_dead = *read[4:7], bool(read[7])
        variance = square - square_of_mean
        return _Seen(loss, penalty, auxiliary, norm, 1 - loss / variance if variance > 0 else 0.0, l0)

    def _add_auxiliary(self, result: StepResult, batch: Batch, code: kernels.SparseCode) -> Tensor:
        spread = self.processes.spread(result.miss, batch.tokens)
        per_spread = torch.where(spread > 0, 1 / spread, 0.0)  # nothing is left to explain where all misses are alike
        coefficient, weights = self._config.aux_k_coefficient * per_spread, self.arithmetic.weights
        miss = add_auxiliary_gradients(result.gradients, batch, code, -result.miss, weights, coefficient)
        squares = miss.square().sum()
        self.processes.sum_(squares)
        return squares / batch.tokens * per_spread

    def _settled(self, result: StepResult) -> Weights:
        for gradient in result.gradients.present().values():
            self.processes.sum_(gradient)
        if result.sparsity is not None:
            self.processes.sum_(result.sparsity)
        return self.architecture.settled(result, self.weights)

    def _record_firing(self, code: Code, tokens: int) -> None:
        fired = code.firings
        self.processes.sum_(fired)
        self.tokens_since_fired += tokens
        self.tokens_since_fired.masked_fill_(fired > 0, 0)

    def _resample_if_due(self, batch: Batch, result: StepResult) -> int:
        every = round(self._config.resample_share * self._config.steps)
        is_due = every > 0 and self.step > 0 and self.step % every == 0 and self.step < self._config.steps * 2 // 3
        if self.architecture.revival != "resampling" or not is_due:
            return 0
        # Rare is not dead: only what has been silent since the last time begins anew.
        silent = self.tokens_since_fired >= max(self._config.dead_after, every * batch.tokens)
        dead = silent.nonzero().squeeze(1)
        if len(dead):
            miss = self.processes.gathered(result.miss)
            resample_(self.weights, dead, miss, random_numbers(self._seed, RESAMPLING, self.step))
            self.adam.forget(dead)
            self.tokens_since_fired[dead] = 0
        return len(dead)

    def _refuse_divergence(self, value: float, largest: float = DIVERGED_LOSS) -> None:
        if not math.isfinite(value):
            raise TrainingDiverged(self.step, "a number became infinite or undefined")
        if value > largest:
            raise TrainingDiverged(self.step, f"the error is {value:,.0f} times the size of the hidden states")


def _random_rows(random: np.random.Generator, rows: int, width: int) -> Tensor:
    """Rows of length one [rows, width]. A clone, because numpy aligns less, and kernels round differently then."""
    drawn = torch.from_numpy(random.standard_normal((rows, width), dtype="float32")).clone()
    kernels.normalise_rows_(drawn)
    return drawn


def _joined(codes: list[Code]) -> Code:
    if len(codes) == 1:
        return codes[0]
    return kernels.concatenated([code.firing() if isinstance(code, DenseCode) else code for code in codes])
