"""The configuration of an experiment as its page tells it, and as the address that asks for the same again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from experiments.engine.config import ARCHITECTURES, PACKINGS, SETTINGS, SITES, recorded_values
from experiments.models import Experiment
from experiments.services.configurations import default_values
from experiments.services.exports import possible_formats
from experiments.setting_texts import written

# Columns of the experiment, which say the same as its config.
COLUMNS = ("layer", "site", "architecture", "n_features", "k", "training_tokens", "seed")
# What the page says in sentences of its own.
TOLD = {*COLUMNS, "output_site", "skip", "packing", "deduplicate", "batch_tokens", "context_length"}


@dataclass(frozen=True)
class SettingFact:
    """A setting that is not as it would be by default."""

    title: str
    value: str
    help: str


def facts_of(experiment: Experiment) -> dict[str, Any]:
    """What the panel of the configuration shows."""
    values = recorded_values(experiment.config)
    return {
        "architecture": ARCHITECTURES.get(experiment.architecture),
        "packing": PACKINGS.get(values.get("packing", "across_documents")),
        "site": SITES.get(experiment.site),
        "output_site": SITES.get(values.get("output_site") or ""),
        "skip": values.get("skip"),
        "original_config": json.dumps(experiment.config["imported"]["original"], ensure_ascii=False, indent=2)
        if experiment.is_imported
        else "",
        "export_formats": possible_formats(experiment) if experiment.has_features else [],
        "changed_settings": changed_settings(values, experiment.architecture),
    }


def changed_settings(values: dict[str, Any], architecture: str) -> list[SettingFact]:
    """Every setting that matters for the architecture and differs from its default, but those that are told anyway."""
    defaults = default_values()
    return [
        _fact(name, values[name])
        for name, setting in SETTINGS.items()
        if name not in TOLD and setting.matters_for(architecture) and values.get(name) not in (None, defaults[name])
    ]


def explorer_values(experiment: Experiment) -> dict[str, Any]:
    """What the address of the Layer Explorer has to say for this experiment: all that is not so by default."""
    defaults = default_values()
    values = recorded_values(experiment.config) | {name: getattr(experiment, name) for name in COLUMNS}
    said = {
        name: _in_address(value)
        for name, value in values.items()
        if name in COLUMNS or value not in (None, defaults[name])
    }
    if experiment.is_imported:
        said |= _aims_of_import(experiment)
        said.pop("training_tokens")
    said |= {"model": experiment.model, "corpus": experiment.corpus_id}
    if revision := experiment.config.get("model", {}).get("revision"):
        said |= {"revision": revision}
    if start := experiment.config.get("start"):
        said |= {"start_from": start["experiment"]}
    return said


def _aims_of_import(experiment: Experiment) -> dict[str, Any]:
    """Where training it further aims: at as many firing features as there are, where its files name no k."""
    measured = experiment.quality.get("l0")
    return {} if experiment.holds_k or not measured else {"k": max(1, round(measured))}


def _fact(name: str, value: Any) -> SettingFact:
    setting = SETTINGS[name]
    known = setting.choices.get(value) if setting.kind == "choice" else None
    text = known.title if known else f"{written(value)} {setting.unit}".strip()
    return SettingFact(setting.title, text, setting.help)


def _in_address(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
