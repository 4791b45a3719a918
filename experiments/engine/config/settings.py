"""Every choice of an experiment in one list, by the name that forms, commands and the API use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from experiments.engine.config.experiment import ExperimentConfig, SaeConfig, TrainingConfig
from experiments.engine.config.setting import Setting
from experiments.engine.config.sources import CorpusConfig

# Where the name of a field alone would not say enough.
NAMES = {(TrainingConfig, "tokens"): "training_tokens"}


def settings_of(kind: type[Any]) -> Iterator[tuple[str, Setting]]:
    """The documented fields of one dataclass, as (name of the field, setting)."""
    for field in dataclasses.fields(kind):
        if described := field.metadata.get("setting"):
            yield field.name, dataclasses.replace(described, name=NAMES.get((kind, field.name), field.name))


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for kind in (ExperimentConfig, CorpusConfig, SaeConfig, TrainingConfig)
    for _, setting in settings_of(kind)
}
BOUNDS = {name: setting for name, setting in SETTINGS.items() if setting.kind in ("number", "whole number")}


def values_of(config: ExperimentConfig) -> dict[str, Any]:
    """The value of every setting of `config`, by name."""
    parts: tuple[Any, ...] = (config, config.corpus, config.sae, config.training)
    return {setting.name: getattr(part, field) for part in parts for field, setting in settings_of(type(part))}
