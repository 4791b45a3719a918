"""The dataclasses. Nested as the engine uses them; each field is documented by its `Setting`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from experiments.engine.config.choices import (
    ARCHITECTURES,
    HAS_PENALTY,
    HOLDS_K,
    PACKINGS,
    SITES,
    TRANSCODES,
)
from experiments.engine.config.reading import read_config
from experiments.engine.config.setting import BRICKEN, LARGEST, setting
from experiments.engine.config.sources import CorpusConfig, ImportConfig, ModelConfig, Place, StartConfig
from experiments.engine.config.training import TrainingConfig

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
        0.1,
        "Sparsity coefficient",
        "Weight of the L1 penalty of ReLU and Gated SAEs, for inputs of mean squared norm one; more is sparser.",
        source=f"{BRICKEN}; measured (docs/saes.md)",
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
