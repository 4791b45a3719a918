"""Configurations survive JSON and refuse, in one sentence, what cannot be run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from experiments.engine.config import (
    BOUNDS,
    ConfigError,
    CorpusConfig,
    ExperimentConfig,
    ModelConfig,
    SaeConfig,
    TrainingConfig,
    as_json,
    validate,
)
from experiments.engine.model_card import ModelCard

CARD = ModelCard("tiny", "llama", 4, 64, 256, 1_000, 500_000, 2_000_000, "causal")
CONFIG = ExperimentConfig(
    ModelConfig("hub", "org/name", revision="abc"),
    CorpusConfig("hub", "org/text", column="text", split="train"),
    layer=2,
    training=TrainingConfig(learning_rate=1e-3),
)


def test_a_config_survives_json() -> None:
    assert ExperimentConfig.from_json(json.loads(json.dumps(as_json(CONFIG)))) == CONFIG


def test_whole_numbers_are_accepted_where_fractions_may_stand() -> None:
    document = as_json(CONFIG)
    document["sae"]["sparsity_coefficient"] = 1
    assert ExperimentConfig.from_json(document).sae.sparsity_coefficient == 1


@pytest.mark.parametrize(
    ("steps", "beta2"), [(1, 0.95), (100, 0.95), (600, 0.98), (1_200, 0.99), (12_000, 0.999), (10**6, 0.999)]
)
def test_the_memory_of_adam_is_a_twelfth_of_a_short_training(steps: int, beta2: float) -> None:
    training = TrainingConfig(tokens=steps * 512, batch_tokens=512)
    assert training.beta2 == pytest.approx(beta2)
    assert replace(training, adam_beta2=0.5).beta2 == 0.5


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("surprise",), 1, "unknown field “surprise”"),
        (("layer",), "two", "“layer” has a value of the wrong kind"),
        (("layer",), True, "“layer” has a value of the wrong kind"),
        (("model", "source"), "elsewhere", "“source” has a value of the wrong kind"),
        (("sae",), [], "sae must be an object"),
    ],
)
def test_json_that_is_no_config_is_refused(path: tuple[str, ...], value: Any, words: str) -> None:
    document = as_json(CONFIG)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ConfigError, match=words) as refusal:
        ExperimentConfig.from_json(document)
    assert refusal.value.field == path[-1]


def test_a_missing_field_is_named() -> None:
    document = as_json(CONFIG)
    del document["layer"]
    with pytest.raises(ConfigError, match="lacks the field “layer”"):
        ExperimentConfig.from_json(document)


def test_a_good_config_is_valid() -> None:
    validate(CONFIG, CARD)


REFUSED: list[tuple[ExperimentConfig, str, str]] = [
    (replace(CONFIG, layer=4), "layer", "layers 0 to 3, so layer 4 does not exist"),
    (replace(CONFIG, layer=-1), "layer", "between 0 and"),
    (replace(CONFIG, site="heads"), "site", "must be one of resid_pre"),
    (replace(CONFIG, sae=SaeConfig(architecture="dense")), "architecture", "must be one of topk"),
    (replace(CONFIG, sae=SaeConfig(n_features=16, k=17)), "k", r"k \(17\) cannot exceed the number of features \(16\)"),
    (replace(CONFIG, sae=SaeConfig(k=0)), "k", "between 1 and"),
    (replace(CONFIG, sae=SaeConfig(n_features=10**12)), "n_features", "between 2 and"),
    (replace(CONFIG, sae=SaeConfig(sparsity_coefficient=float("nan"))), "sparsity_coefficient", "finite number"),
    (replace(CONFIG, sae=SaeConfig(sparsity_coefficient=float("inf"))), "sparsity_coefficient", "finite number"),
    (replace(CONFIG, seed=-1), "seed", "between 0 and"),
    (replace(CONFIG, context_length=512), "context_length", "reads at most 256 tokens"),
    (replace(CONFIG, training=TrainingConfig(tokens=-5)), "training_tokens", "between 1,024 and"),
    (replace(CONFIG, training=TrainingConfig(tokens=1e18)), "training_tokens", "between 1,024 and"),  # type: ignore[arg-type]
    (replace(CONFIG, training=TrainingConfig(learning_rate=0.0)), "learning_rate", "between 1e-08 and 1.0"),
    (replace(CONFIG, training=TrainingConfig(warmup_share=0.9, decay_share=0.2)), "warmup_share", "at most 1"),
    (replace(CONFIG, training=TrainingConfig(held_out_share=1.0)), "held_out_share", "between 0.0001 and 0.9"),
    (replace(CONFIG, training=TrainingConfig(clip_norm=float("nan"))), "clip_norm", "finite number"),
    (replace(CONFIG, model=ModelConfig("hub", "../secret")), "model", "not a path or a URL"),
    (replace(CONFIG, model=ModelConfig("hub", "https://hub/model")), "model", "not a path or a URL"),
    (replace(CONFIG, model=ModelConfig("hub", "a/b/c")), "model", "not a path or a URL"),
    (replace(CONFIG, model=ModelConfig("local", "a/b")), "model", "not a path or a URL"),
    (replace(CONFIG, model=ModelConfig("local", "a..b")), "model", "not a path or a URL"),
]


@pytest.mark.parametrize(("config", "field", "words"), REFUSED)
def test_what_cannot_be_run_is_refused_in_one_sentence(config: ExperimentConfig, field: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        validate(config, CARD)
    message = str(refusal.value)
    assert refusal.value.field == field
    assert message.endswith(".")
    assert "\n" not in message


def test_whole_numbers_are_asked_for_where_they_are_needed() -> None:
    with pytest.raises(ConfigError, match="whole number"):
        BOUNDS["k"].check(2.5)


def test_every_default_lies_within_its_bound() -> None:
    for bound in BOUNDS.values():
        if bound.default is not None:
            bound.check(bound.default)


def test_dead_features_are_those_silent_for_three_percent_of_the_training() -> None:
    assert TrainingConfig(tokens=2_000_000).dead_after == 60_000
    assert TrainingConfig(tokens=10**10).dead_after == 10_000_000
    assert TrainingConfig(tokens=10_000).dead_after == 4_096
    assert TrainingConfig(dead_after_tokens=123).dead_after == 123
