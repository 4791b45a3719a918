"""What an experiment is told to do: frozen dataclasses that are their own documentation, and the rules they keep.

Every choice is a field with its default, unit, bounds and source; forms, API schemas, the command line and the admin
are made from `SETTINGS`, which lists them. No torch.
"""

from experiments.engine.config.choices import (
    ARCHITECTURES,
    DTYPES,
    HAS_PENALTY_CURVE,
    HOLDS_K,
    PACKINGS,
    SCHEDULES,
    SITES,
)
from experiments.engine.config.experiment import ExperimentConfig, SaeConfig
from experiments.engine.config.reading import as_json
from experiments.engine.config.setting import Choice, ConfigError, Setting
from experiments.engine.config.settings import BOUNDS, PARTS, SETTINGS, config_with, recorded_values, values_of
from experiments.engine.config.sources import CorpusConfig, ImportConfig, ModelConfig, Place, StartConfig
from experiments.engine.config.training import (
    TrainingConfig,
    default_batch_tokens,
    default_learning_rate,
    published_learning_rate,
)
from experiments.engine.config.validation import SAFE_NAME, validate

# How many activations the harvest sorts at a time, about: 32 MB that take a fraction of a second.
ACTIVATIONS_AT_ONCE = 2_000_000
# Text on which an imported SAE is measured: norms, for what counts as an outlier, and how many features fire.
MEASURED_TOKENS = 65_536

__all__ = [
    "ACTIVATIONS_AT_ONCE",
    "ARCHITECTURES",
    "BOUNDS",
    "DTYPES",
    "HAS_PENALTY_CURVE",
    "HOLDS_K",
    "MEASURED_TOKENS",
    "PACKINGS",
    "PARTS",
    "SAFE_NAME",
    "SCHEDULES",
    "SETTINGS",
    "SITES",
    "Choice",
    "ConfigError",
    "CorpusConfig",
    "ExperimentConfig",
    "ImportConfig",
    "ModelConfig",
    "Place",
    "SaeConfig",
    "Setting",
    "StartConfig",
    "TrainingConfig",
    "as_json",
    "config_with",
    "default_batch_tokens",
    "default_learning_rate",
    "published_learning_rate",
    "recorded_values",
    "validate",
    "values_of",
]
