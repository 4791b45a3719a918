"""The dataclasses. Nested as the engine uses them; each field is documented by its `Setting`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from experiments.engine.config.choices import (
    ARCHITECTURES,
    FITS_THRESHOLD,
    HAS_AUXILIARY_LOSS,
    HAS_PENALTY,
    HOLDS_K,
    PACKINGS,
    PRECISIONS,
    RESAMPLES,
    SCHEDULES,
    SITES,
    TRANSCODES,
)
from experiments.engine.config.reading import read_config
from experiments.engine.config.setting import setting
from experiments.engine.config.sources import CorpusConfig, ImportConfig, ModelConfig, Place, StartConfig

GAO = "Gao et al. 2024, arXiv:2406.04093"
BRICKEN = "Bricken et al. 2023, Towards Monosemanticity"
LARGEST = 100_000_000_000
MOST_HARVESTED = 10_000_000  # where nobody says how many


@dataclass(frozen=True)
class SaeConfig:
    """The sparse autoencoder: `n_features` directions of which few fire on a token."""

    architecture: str = setting(
        "topk", "Architecture", "How the features of a token are chosen.", choices=ARCHITECTURES, advanced=False
    )
    n_features: int = setting(
        4_096,
        "Features",
        "How many features the SAE may learn; 4 to 32 times the width.",
        unit="features",
        minimum=2,
        maximum=1_048_576,
        advanced=False,
    )
    k: int = setting(
        32,
        "k",
        "How many features may fire on one token: exactly (TopK) or on average (BatchTopK, Matryoshka, JumpReLU).",
        help_for={
            "topk": "How many features fire on every token: exactly so many.",
            "batchtopk": "How many features fire on a token on average; one token may have more, another fewer.",
            "matryoshka": "How many features fire on a token on average; one token may have more, another fewer.",
            "jumprelu": "The L0 aimed at: a controller moves the thresholds until so many features fire on average.",
        },
        unit="features per token",
        minimum=1,
        maximum=8_192,
        architectures=HOLDS_K,
        advanced=False,
    )
    sparsity_coefficient: float = setting(
        0.01,
        "Sparsity coefficient",
        "Weight of the L1 penalty of ReLU and Gated SAEs, for inputs of mean squared norm one; more is sparser.",
        source=BRICKEN,
        minimum=0.0,
        maximum=1_000.0,
        architectures=HAS_PENALTY,
        advanced=False,
    )
    bandwidth: float = setting(
        0.05,
        "Bandwidth",
        "Width of the kernel through which a threshold's gradient sees pre-activations, for inputs of mean squared "
        "norm one.",
        source="Rajamanoharan et al. 2024, arXiv:2407.14435",
        minimum=1e-6,
        maximum=10.0,
        architectures=("jumprelu",),
    )
    output_site: str | None = setting(
        None,
        "Reconstructs",
        "An autoencoder reconstructs what it reads; a transcoder reads one site (mlp_in, say) and reconstructs this "
        "one of the same block.",
        left_out="what it reads",
        source="Dunefsky et al. 2024, arXiv:2406.11944",
        choices=SITES,
        architectures=TRANSCODES,
        advanced=False,
    )
    skip: bool = setting(
        False,
        "Skip connection",
        "Adds a linear map of what is read to what a transcoder reconstructs.",
        source="Paulo et al. 2025, arXiv:2501.18823",
        architectures=TRANSCODES,
        advanced=False,
    )

    @property
    def is_transcoder(self) -> bool:
        return self.output_site is not None


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
        left_out="2e-4 / sqrt(n_features / 16,384)",
        kind="number",
        source=GAO,
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
    adam_beta2: float = setting(
        0.999, "Adam β₂", "Memory of the gradient's square.", source="Kingma & Ba 2014", minimum=0.0, maximum=0.9999999
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
        "How many dead features explain the residual of a token.",
        left_out="half the width",
        unit="features per token",
        source=GAO,
        minimum=1,
        maximum=65_536,
        architectures=HAS_AUXILIARY_LOSS,
    )
    aux_k_coefficient: float = setting(
        1 / 32,
        "Auxiliary coefficient",
        "Weight of the loss with which dead features explain the residual; 0 turns it off.",
        source=GAO,
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
        "Seconds between two checkpoints; a killed worker loses as much.",
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
    def dead_after(self) -> int:
        """Tokens without firing after which a feature counts as dead."""
        return self.dead_after_tokens or max(self.batch_tokens, min(10_000_000, self.tokens * 3 // 100))


def default_batch_tokens(training_tokens: int) -> int:
    """The largest of 512, 1,024, 2,048 and 4,096 that leaves 1,500 steps: few steps cost a short run more than noise.

    On the built-in model, 1 million tokens: 250 steps explain 0.89 of the variance, 1,000 steps 0.95 (docs/builtin.md).
    """
    fitting = [size for size in (512, 1_024, 2_048, 4_096) if training_tokens // size >= 1_500]
    return max(fitting, default=512)


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment: model, layer, site, corpus, SAE and training; with the seed it determines the weights."""

    model: ModelConfig
    corpus: CorpusConfig
    layer: int = setting(
        dataclasses.MISSING,
        "Layer",
        "The block whose hidden states are read, counted from 0.",
        unit="block",
        minimum=0,
        maximum=1_000,
        advanced=False,
    )
    site: str = setting(
        "resid_post", "Site", "Where in the block hidden states are read.", choices=SITES, advanced=False
    )
    sae: SaeConfig = field(default_factory=SaeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    context_length: int = setting(
        128,
        "Context length",
        "Length of the windows the model reads.",
        left_out="128, or what the model can read",
        unit="tokens",
        minimum=8,
        maximum=131_072,
    )
    packing: str = setting(
        "across_documents",
        "Windows",
        "How documents become windows. In windows of their own, short ones are padded and long ones cut.",
        choices=PACKINGS,
    )
    seed: int = setting(
        0,
        "Seed",
        "The same seed on the same machine gives the same weights, bit for bit.",
        minimum=0,
        maximum=2**63 - 1,
        advanced=False,
    )
    stream_seed: int | None = setting(
        None,
        "Seed of the order",
        "The order of the text. Experiments that share it can share hidden states.",
        left_out="the seed",
        minimum=0,
        maximum=2**63 - 1,
    )
    start: StartConfig | None = None
    imported: ImportConfig | None = None
    cache_hidden_states: bool = setting(
        False,
        "Keep hidden states",
        "Keeps captured segments on disk, within the quota, for later epochs and for other experiments on the same "
        "text, model and place. Off, because they take 4 bytes times the width for every token.",
    )
    evaluation_tokens: int = setting(
        100_000,
        "Evaluation tokens",
        "Held-out tokens for every quality number but the cross-entropies.",
        unit="tokens",
        group="Evaluation",
        minimum=1,
        maximum=LARGEST,
    )
    splice_tokens: int = setting(
        32_768,
        "Tokens for cross-entropies",
        "Held-out tokens that the model predicts; each is read whole four times.",
        unit="tokens",
        group="Evaluation",
        minimum=1,
        maximum=LARGEST,
    )
    variants: bool = setting(
        False, "Numbers of other tools", "Measures numbers as other tools define them, beside ours.", group="Evaluation"
    )
    harvest_tokens: int | None = setting(
        None,
        "Harvest tokens",
        "Tokens of the training text whose activations are all kept for the catalogue.",
        left_out="all of the training text, at most 10 million",
        unit="tokens",
        group="Evaluation",
        minimum=1,
        maximum=LARGEST,
    )

    @property
    def place(self) -> Place:
        """Where the hidden states are read that the SAE is trained on."""
        return Place(self.layer, self.site)

    @property
    def output_place(self) -> Place | None:
        """Where the hidden states are that a transcoder reconstructs; None for an autoencoder."""
        return None if self.sae.output_site is None else Place(self.layer, self.sae.output_site)

    @property
    def harvested_tokens(self) -> int:
        """How many tokens are harvested, if the corpus has as many."""
        return self.harvest_tokens or min(MOST_HARVESTED, self.training.tokens)

    @property
    def order_seed(self) -> int:
        """The seed of the order of the text."""
        return self.seed if self.stream_seed is None else self.stream_seed

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ExperimentConfig:
        """The inverse of `as_json`. Raises ConfigError for an unknown key, a missing key or a wrong type."""
        return read_config(cls, document, "config")
