"""What an experiment will need, said before it starts: memory, disk and time. No torch.

The figures count the arrays that the stages really hold and the arithmetic that they really do; the speed of a core
is the one constant that was measured (see `FLOPS_PER_CORE`), so seconds are a guide and bytes are meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from experiments.engine.config import (
    ACTIVATIONS_AT_ONCE,
    HOLDS_K,
    MEASURED_TOKENS,
    ConfigError,
    ExperimentConfig,
    SaeConfig,
)

if TYPE_CHECKING:
    from experiments.engine.model_card import ModelCard

FLOAT = 4  # bytes of a float32
FLOPS_PER_CORE = 60e9  # float32 multiply-adds count as two; what small matrices reach on one laptop core
SELECT_SECONDS = 4e-9  # top-k over one pre-activation, per core
SPARSE_FLOPS_PER_CORE = 4e9  # gathers are bound by memory, not by arithmetic
PROGRAM_BYTES = 700_000_000  # python, torch and transformers themselves
FIRING_WITHOUT_K = 100  # what coefficients of ReLU and Gated SAEs are usually tuned to
ENCODED_AT_ONCE = 2**23  # pre-activations held while an SAE encodes
LOGITS_TOKENS = 1_024  # tokens whose logits are held at once during evaluation
ACTIVATION_BYTES_IN_MEMORY = 80  # one activation while it is sorted
ACTIVATION_BYTES_ON_DISK = 8 + 8  # one activation in the Parquet index, and while it waits to be sorted
NUMBERS_PER_FEATURE = {"batchtopk": 1, "matryoshka": 1, "jumprelu": 1, "gated": 2}  # beside rows and encoder bias
BATCH_MATRICES = {"relu": 6, "gated": 8}  # [tokens, features] held at once: at first these fire nearly everywhere
TOKEN_BYTES_ON_DISK = 12  # one token in the window cache and the Parquet index


class EstimateLine(NamedTuple):
    """One summand of the estimate, with the sentence that explains it."""

    title: str
    amount: float
    unit: Literal["bytes of memory", "bytes on disk", "seconds"]
    explanation: str


@dataclass(frozen=True)
class Estimate:
    """The sums, and the lines they are made of."""

    memory_bytes: int
    disk_bytes: int
    seconds: float
    lines: tuple[EstimateLine, ...]


def estimate(config: ExperimentConfig, card: ModelCard, cores: int) -> Estimate:
    """What `config` needs on the model of `card` with `cores` processor cores."""
    lines = (*_memory(config, card), *_disk(config, card), *_time(config, card, max(1, cores)))

    def total(unit: str) -> float:
        return sum(line.amount for line in lines if line.unit == unit)

    return Estimate(int(total("bytes of memory")), int(total("bytes on disk")), total("seconds"), lines)


def memory_side_by_side(configs: Sequence[ExperimentConfig], card: ModelCard) -> int:
    """Bytes of memory while `configs` are trained side by side: every SAE and its batch, every distinct place's
    segment, and of the rest as much as the largest needs."""
    lines = [{line.title: line.amount for line in _memory(config, card)} for config in configs]
    of_each = sum(found["SAE"] + found["Batch"] for found in lines)
    places = [(config.place, config.output_place) for config in configs]
    segments = dict(zip(places, (found["Segment"] for found in lines), strict=True))
    own = ("SAE", "Batch", "Segment")
    shared = max(sum(amount for title, amount in found.items() if title not in own) for found in lines)
    return int(of_each + sum(segments.values()) + shared)


def refuse_if_too_large(estimate: Estimate, available_bytes: int) -> None:
    """Raises ConfigError, with the estimate in its sentence, when the memory that is available cannot hold it."""
    if estimate.memory_bytes > available_bytes:
        raise ConfigError(
            "n_features",
            f"This experiment would need about {estimate.memory_bytes / 1e9:,.1f} GB of memory and "
            f"{available_bytes / 1e9:,.1f} GB are available; choose fewer features or a smaller model.",
        )


def sae_parameters(sae: SaeConfig, width: int) -> int:
    """Encoder and decoder matrices with their biases, and what the architecture adds for each feature."""
    for_each_feature = 2 * width + 1 + NUMBERS_PER_FEATURE.get(sae.architecture, 0)
    skip = width * width if sae.skip else 0
    return sae.n_features * for_each_feature + width + skip


def _firing(config: ExperimentConfig) -> int:
    """How many features fire on a token, as far as that can be known before."""
    sae = config.sae
    return min(sae.n_features, sae.k if sae.architecture in HOLDS_K else FIRING_WITHOUT_K)


def _memory(config: ExperimentConfig, card: ModelCard) -> list[EstimateLine]:
    unit: Literal["bytes of memory"] = "bytes of memory"
    sorted_at_once = min(ACTIVATIONS_AT_ONCE, config.harvested_tokens * _firing(config))
    return [
        EstimateLine("Program", PROGRAM_BYTES, unit, "Python and its libraries."),
        EstimateLine("Language model", _model_bytes(config, card), unit, "The model's weights."),
        *(_memory_of_import(config, card) if config.imported else _memory_of_training(config, card)),
        EstimateLine(
            "Evaluation",
            4 * LOGITS_TOKENS * card.vocabulary_size * FLOAT,
            unit,
            "Logits of the texts compared at a time.",
        ),
        EstimateLine("Harvest", sorted_at_once * ACTIVATION_BYTES_IN_MEMORY, unit, "Activations sorted at a time."),
    ]


def _memory_of_training(config: ExperimentConfig, card: ModelCard) -> list[EstimateLine]:
    unit: Literal["bytes of memory"] = "bytes of memory"
    weights = sae_parameters(config.sae, card.width) * FLOAT
    batch = config.training.batch_tokens
    places = 2 if config.sae.is_transcoder else 1
    matrices = BATCH_MATRICES.get(config.sae.architecture, 2)
    return [
        EstimateLine("SAE", 4 * weights, unit, "Weights, their gradients and Adam's two moments."),
        EstimateLine(
            "Segment",
            2 * places * min(config.training.segment_tokens, config.training.tokens) * card.width * FLOAT,
            unit,
            f"{config.training.segment_tokens:,} hidden states of {card.width:,} numbers at {places} "
            f"{'place' if places == 1 else 'places'}, held twice: at first beside a shuffled copy, on a GPU then "
            "beside the next ones, which are captured while these are trained on.",
        ),
        EstimateLine(
            "Batch",
            batch * (matrices * config.sae.n_features + 8 * card.width) * FLOAT,
            unit,
            f"{matrices} numbers for each feature and token of {batch:,}, and what is computed from them.",
        ),
    ]


def _memory_of_import(config: ExperimentConfig, card: ModelCard) -> list[EstimateLine]:
    """Nothing is trained, so there are no gradients."""
    unit: Literal["bytes of memory"] = "bytes of memory"
    weights = sae_parameters(config.sae, card.width) * FLOAT
    states = MEASURED_TOKENS * card.width * FLOAT
    return [
        EstimateLine("SAE", 3 * weights, unit, "Weights, and what they are made of while they are read."),
        EstimateLine("Segment", states, unit, f"{MEASURED_TOKENS:,} hidden states, on which the SAE is measured."),
        EstimateLine("Batch", 2 * ENCODED_AT_ONCE * FLOAT, unit, "Pre-activations, and what fires of them."),
    ]


def _model_bytes(config: ExperimentConfig, card: ModelCard) -> int:
    if card.parameters is None:
        return 2 * card.weights_bytes
    return card.parameters * (FLOAT if config.model.dtype == "float32" else 2)


def _disk(config: ExperimentConfig, card: ModelCard) -> list[EstimateLine]:
    unit: Literal["bytes on disk"] = "bytes on disk"
    weights = sae_parameters(config.sae, card.width) * FLOAT
    tokens = config.training.tokens + config.harvested_tokens
    return [
        EstimateLine("Weights", weights, unit, "The finished SAE."),
        EstimateLine("Checkpoints", 2 * 3 * weights, unit, "Two kept while it trains: weights and Adam's two moments."),
        *_kept_states(config, card),
        EstimateLine("Tokens", tokens * TOKEN_BYTES_ON_DISK, unit, "The text as token windows."),
        EstimateLine(
            "Activations",
            config.harvested_tokens * _firing(config) * ACTIVATION_BYTES_ON_DISK,
            unit,
            f"Every activation of {config.harvested_tokens:,} tokens, sorted and while they wait to be sorted.",
        ),
    ]


def _kept_states(config: ExperimentConfig, card: ModelCard) -> list[EstimateLine]:
    """At most: a corpus may be shorter than the training, and the quota smaller than either."""
    if not config.cache_hidden_states:
        return []
    places = 2 if config.sae.is_transcoder else 1
    size = config.training.tokens * (places * card.width * FLOAT + 8)
    return [EstimateLine("Hidden states", size, "bytes on disk", "Kept for later epochs, at most up to the quota.")]


def _time(config: ExperimentConfig, card: ModelCard, cores: int) -> list[EstimateLine]:
    training, evaluation, harvest = config.training.tokens, config.evaluation_tokens, config.harvested_tokens
    predicted = min(config.splice_tokens, evaluation)
    read = _forward_seconds(card, share=(config.layer + 1) / card.layers) / cores
    read_whole = _forward_seconds(card, share=1.0) / cores
    encode = _encode_seconds(config, card) / cores
    learn = encode + _learn_seconds(config, card) / cores
    unit: Literal["seconds"] = "seconds"
    return [
        EstimateLine("Capture", training * read, unit, "The model reads the training text up to the chosen layer."),
        EstimateLine("Training", training * learn, unit, f"{config.training.steps:,} optimiser steps."),
        EstimateLine(
            "Evaluation",
            evaluation * (read + encode) + 4 * predicted * read_whole,
            unit,
            f"Held-out text is read once, {predicted:,} tokens of it four times more.",
        ),
        EstimateLine("Harvest", harvest * (read + 2 * encode), unit, "Every feature's activations, kept and sorted."),
    ]


def _forward_seconds(card: ModelCard, share: float) -> float:
    """Seconds of one core per token, for `share` of the blocks: two operations per weight."""
    weights = card.parameters if card.parameters is not None else card.weights_bytes // FLOAT
    return 2 * weights * share / FLOPS_PER_CORE


def _encode_seconds(config: ExperimentConfig, card: ModelCard) -> float:
    return config.sae.n_features * (2 * card.width / FLOPS_PER_CORE + SELECT_SECONDS)


def _learn_seconds(config: ExperimentConfig, card: ModelCard) -> float:
    """Decoding, three sparse gradients, and Adam shared among the tokens of a batch."""
    sparse = 4 * 2 * _firing(config) * card.width
    adam = 12 * sae_parameters(config.sae, card.width) / config.training.batch_tokens
    return (sparse + adam) / SPARSE_FLOPS_PER_CORE
