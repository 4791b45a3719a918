"""Which configurations can be run: each mistake is one sentence, with the field it belongs to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from experiments.engine.config.choices import ARCHITECTURES, HOLDS_K, TRANSCODES
from experiments.engine.config.experiment import ExperimentConfig
from experiments.engine.config.setting import ConfigError
from experiments.engine.config.settings import SETTINGS, values_of
from experiments.engine.config.training import TrainingConfig

if TYPE_CHECKING:
    from experiments.engine.model_card import ModelCard

SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")


def validate(config: ExperimentConfig, model_card: ModelCard | None) -> None:
    """Raises ConfigError with one clear sentence when `config` cannot be run on the model of `model_card`.

    Without a card only what depends on no model is judged.
    """
    _validate_names(config)
    for name, value in values_of(config).items():
        SETTINGS[name].check(value)
    if model_card is not None:
        _validate_against_model(config, model_card)
    _validate_sae(config)
    _validate_training(config.training)


def _validate_names(config: ExperimentConfig) -> None:
    parts = config.model.name.split("/")
    longest = 2 if config.model.source == "hub" else 1
    if len(parts) > longest or not all(SAFE_NAME.match(part) and ".." not in part for part in parts):
        raise ConfigError("model", "The model must be a plain name or a hub id such as org/name, not a path or a URL.")


def _validate_against_model(config: ExperimentConfig, card: ModelCard) -> None:
    if config.layer >= card.layers:
        raise ConfigError(
            "layer", f"The model has layers 0 to {card.layers - 1}, so layer {config.layer} does not exist."
        )
    if config.context_length > card.context_length:
        raise ConfigError(
            "context_length",
            f"The model reads at most {card.context_length:,} tokens; windows of {config.context_length:,} do not fit.",
        )


def _validate_sae(config: ExperimentConfig) -> None:
    sae = config.sae
    if sae.architecture in HOLDS_K and sae.k > sae.n_features:
        raise ConfigError("k", f"k ({sae.k:,}) cannot exceed the number of features ({sae.n_features:,}).")
    if sae.is_transcoder and sae.architecture not in TRANSCODES:
        able = " or ".join(ARCHITECTURES[name].title for name in TRANSCODES)
        raise ConfigError(
            "output_site",
            f"A transcoder is {able}; {ARCHITECTURES[sae.architecture].title} reconstructs its input.",
        )
    if sae.output_site == config.site:
        raise ConfigError("output_site", "What an SAE reads it reconstructs anyway: leave out what it reconstructs.")
    if sae.skip and not sae.is_transcoder:
        raise ConfigError("skip", "Only a transcoder has a skip connection: say what it reconstructs.")


def _validate_training(training: TrainingConfig) -> None:
    if training.warmup_share + training.decay_share > 1:
        raise ConfigError("warmup_share", "Warm-up and decay must be shares that add up to at most 1.")
