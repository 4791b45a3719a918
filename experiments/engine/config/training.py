"""How an SAE is trained: one frozen dataclass, each field documented by its `Setting`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.engine.config.choices import FITS_THRESHOLD, HAS_AUXILIARY_LOSS, PRECISIONS, RESAMPLES, SCHEDULES
from experiments.engine.config.setting import BRICKEN, GAO, LARGEST, setting

# The learning rate of a short training, and the steps from which on it falls: see docs/saes.md.
SHORT_RATE, SHORT_STEPS = 3e-3, 2_000
# Adam remembers no more than a twelfth of the steps, nor less than 20 steps: see docs/saes.md.
LONGEST_MEMORY, SHORTEST_MEMORY, MEMORY_SHARE = 1_000, 20, 1 / 12


@dataclass(frozen=True)
class TrainingConfig:
    """How the SAE is trained. Shares are of the whole training; tokens count hidden states."""

    tokens: int = setting(
        2_000_000,
        "Training tokens",
        "Hidden states the SAE is trained on.",
        unit="tokens",
        minimum=1_024,
        maximum=LARGEST,
        advanced=False,
    )
    batch_tokens: int = setting(
        4_096,
        "Batch",
        "Hidden states per optimiser step.",
        left_out="the largest of 512, 1,024, 2,048 and 4,096 that leaves 1,500 steps, at least 512",
        unit="tokens",
        source="SAELens, OpenMOSS",
        minimum=16,
        maximum=1_048_576,
    )
    learning_rate: float | None = setting(
        None,
        "Learning rate",
        "The highest one of the schedule.",
        left_out="3e-3; above 2,000 steps 3e-3 * sqrt(2,000 / steps), at least 2e-4 / sqrt(n_features / 16,384), which "
        "is the default where an SAE is trained further",
        kind="number",
        source=f"{GAO} (long trainings); measured (docs/saes.md)",
        minimum=1e-8,
        maximum=1.0,
    )
    precision: str = setting(
        "auto",
        "Precision of a step",
        "The numbers that a training step computes with; weights and what the optimiser keeps are float32 always.",
        choices=PRECISIONS,
    )
    schedule: str = setting(
        "warmup_stable_decay", "Schedule", "How the learning rate changes over the training.", choices=SCHEDULES
    )
    warmup_share: float = setting(
        0.05,
        "Warm-up",
        "In this first share of the steps the learning rate grows linearly from zero.",
        unit="share of the steps",
        minimum=0.0,
        maximum=1.0,
    )
    decay_share: float = setting(
        0.2,
        "Decay",
        "In this last share of the steps the learning rate falls linearly to zero (warm-up, stable, decay).",
        unit="share of the steps",
        minimum=0.0,
        maximum=1.0,
    )
    adam_beta1: float = setting(
        0.9, "Adam β₁", "Memory of the gradient's mean.", source="Kingma & Ba 2014", minimum=0.0, maximum=0.9999999
    )
    adam_beta2: float | None = setting(
        None,
        "Adam β₂",
        "Memory of the gradient's square. In a short training a long memory keeps dead features from coming back: "
        "their steps stay as small as when their gradients were large.",
        left_out="0.999; below 12,000 steps 1 - 12 / steps, at least 0.95",
        kind="number",
        source="Kingma & Ba 2014; measured (docs/saes.md)",
        minimum=0.0,
        maximum=0.9999999,
    )
    adam_epsilon: float = setting(
        6.25e-10,
        "Adam ε",
        "Small, because inputs have unit mean square and gradients of rare features are tiny.",
        source=GAO,
        minimum=0.0,
        maximum=1.0,
    )
    clip_norm: float = setting(
        1.0,
        "Gradient clipping",
        "Largest norm of the gradient over all weights; larger ones are scaled down.",
        source="SAELens, dictionary_learning",
        minimum=1e-6,
        maximum=1e6,
    )
    aux_k: int | None = setting(
        None,
        "Auxiliary k",
        "How many dead features explain the residual of a token. As many as fire on one, so that each grows as strong "
        "as those it must outdo; the more there are, the weaker each is.",
        left_out="k, at most half the width",
        unit="features per token",
        source=f"{GAO} (half the width); measured (docs/saes.md)",
        minimum=1,
        maximum=65_536,
        architectures=HAS_AUXILIARY_LOSS,
    )
    aux_k_coefficient: float = setting(
        1 / 8,
        "Auxiliary coefficient",
        "Weight of the loss with which dead features explain the residual; 0 turns it off.",
        source=f"{GAO} (1/32); measured (docs/saes.md)",
        minimum=0.0,
        maximum=1_000.0,
        architectures=HAS_AUXILIARY_LOSS,
    )
    dead_after_tokens: int | None = setting(
        None,
        "Dead after",
        "Tokens without firing after which a feature counts as dead.",
        left_out="3% of the training, at most 10 million",
        unit="tokens",
        source=GAO,
        minimum=1,
        maximum=LARGEST,
    )
    resample_share: float = setting(
        0.1,
        "Resampling",
        "Dead features begin anew, where the error is largest, after each such share of the steps until the last "
        "third; 0 turns it off.",
        unit="share of the steps",
        source=BRICKEN,
        minimum=0.0,
        maximum=1.0,
        architectures=RESAMPLES,
    )
    threshold_tokens: int = setting(
        1_000_000,
        "Tokens for the threshold",
        "Held-out tokens on which the threshold is fitted after training, so that k features fire on average.",
        unit="tokens",
        minimum=1,
        maximum=LARGEST,
        architectures=FITS_THRESHOLD,
    )
    segment_tokens: int = setting(
        2**18,
        "Segment",
        "Hidden states that are captured and shuffled together.",
        unit="tokens",
        minimum=1,
        maximum=2**28,
    )
    checkpoint_seconds: float = setting(
        20.0,
        "Checkpoint every",
        "Seconds between two checkpoints, more where one takes long; a killed worker loses as much.",
        unit="seconds",
        minimum=0.001,
        maximum=86_400.0,
    )
    metric_every: int = setting(
        10, "Measure every", "Steps between two points of the curves.", unit="steps", minimum=1, maximum=1_000_000
    )
    held_out_share: float = setting(
        0.1,
        "Held out",
        "Share of the documents that is never trained on, only measured on.",
        unit="share of the documents",
        minimum=0.0001,
        maximum=0.9,
    )

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.batch_tokens)

    @property
    def beta2(self) -> float:
        """The memory of Adam's second moments, of so many steps: 1 / (1 - beta2)."""
        memory = min(LONGEST_MEMORY, max(SHORTEST_MEMORY, MEMORY_SHARE * self.steps))
        return 1 - 1 / memory if self.adam_beta2 is None else self.adam_beta2

    @property
    def dead_after(self) -> int:
        """Tokens without firing after which a feature counts as dead."""
        return self.dead_after_tokens or max(self.batch_tokens, min(10_000_000, self.tokens * 3 // 100))


def default_batch_tokens(training_tokens: int) -> int:
    """The largest of 512, 1,024, 2,048 and 4,096 that leaves 1,500 steps: few steps cost a short run more than noise.

    On the built-in model, 1 million tokens: 250 steps explain 0.89 of the variance, 1,000 steps 0.95 (docs/builtin.md).
    """
    fitting = [size for size in (512, 1_024, 2_048, 4_096) if training_tokens // size >= 1_500]
    return max(fitting, default=512)


def published_learning_rate(n_features: int) -> float:
    """2e-4 / sqrt(n_features / 2^14): what Gao et al. 2024 (arXiv:2406.04093) fitted to very long trainings.

    It is also what a stored config without a rate means, so that it trains again and goes on as it was.
    """
    return float(2e-4 / math.sqrt(n_features / 2**14))


def default_learning_rate(steps: int, n_features: int) -> float:
    """Three digits of 3e-3, which falls with the root of the steps above 2,000, and never below the published rate.

    Up to 2,000 steps it was the best of the rates tried on the built-in model that left no features dead, where FVU can
    decide (not for ReLU and Gated, whose L0 follows the rate); the fall above is an interpolation (docs/saes.md).
    """
    falling = SHORT_RATE * math.sqrt(SHORT_STEPS / max(steps, SHORT_STEPS))
    return float(f"{max(falling, published_learning_rate(n_features)):.3g}")
