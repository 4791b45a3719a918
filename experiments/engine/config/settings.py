"""Every choice of an experiment in one list, by the name that forms, commands and the API use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from experiments.engine.config.experiment import ExperimentConfig, SaeConfig
from experiments.engine.config.setting import Setting
from experiments.engine.config.sources import CorpusConfig, ModelConfig
from experiments.engine.config.training import TrainingConfig

Part = TypeVar("Part", ModelConfig, CorpusConfig, SaeConfig, TrainingConfig)

# Where the name of a field alone would not say enough.
NAMES = {(TrainingConfig, "tokens"): "training_tokens"}
# The dataclasses that settings belong to, with the group of the form that shows them.
PARTS: dict[type[Any], str] = {
    ExperimentConfig: "Reading",
    ModelConfig: "Reading",
    CorpusConfig: "Reading",
    SaeConfig: "SAE",
    TrainingConfig: "Training",
}

# Where a config keeps its parts.
FIELDS = {ModelConfig: "model", CorpusConfig: "corpus", SaeConfig: "sae", TrainingConfig: "training"}


def settings_of(kind: type[Any]) -> Iterator[tuple[str, Setting]]:
    """The documented fields of one dataclass, as (name of the field, setting)."""
    for field in dataclasses.fields(kind):
        if described := field.metadata.get("setting"):
            name, group = NAMES.get((kind, field.name), field.name), described.group or PARTS[kind]
            yield field.name, dataclasses.replace(described, name=name, group=group)


SETTINGS: dict[str, Setting] = {setting.name: setting for kind in PARTS for _, setting in settings_of(kind)}
BOUNDS = {name: setting for name, setting in SETTINGS.items() if setting.kind in ("number", "whole number")}


def values_of(config: ExperimentConfig) -> dict[str, Any]:
    """The value of every setting of `config`, by name."""
    parts: tuple[Any, ...] = (config, config.model, config.corpus, config.sae, config.training)
    return {setting.name: getattr(part, field) for part in parts for field, setting in settings_of(type(part))}


def recorded_values(document: Mapping[str, Any]) -> dict[str, Any]:
    """The values of settings that a stored config has; one of an earlier version may lack some."""
    values: dict[str, Any] = {}
    for kind in PARTS:
        part = document if kind is ExperimentConfig else document.get(FIELDS[kind], {})
        values |= {setting.name: part[field] for field, setting in settings_of(kind) if field in part}
    return values


def config_with(model: ModelConfig, corpus: CorpusConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    """The config with these values of settings, by name, and the default of every other: undoes `values_of`."""
    return ExperimentConfig(
        model=_with(model, values),
        corpus=_with(corpus, values),
        sae=_with(SaeConfig(), values),
        training=_with(TrainingConfig(), values),
        **_fields(ExperimentConfig, values),
    )


def _with(part: Part, values: Mapping[str, Any]) -> Part:
    return dataclasses.replace(part, **_fields(type(part), values))


def _fields(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {field: values[setting.name] for field, setting in settings_of(kind) if setting.name in values}
