"""The estimate grows with what is asked for, explains itself, and refuses what memory cannot hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.engine.config import (
    ARCHITECTURES,
    ConfigError,
    CorpusConfig,
    ExperimentConfig,
    ModelConfig,
    SaeConfig,
    TrainingConfig,
)
from experiments.engine.estimate import Estimate, estimate, refuse_if_too_large
from experiments.engine.model_card import ModelCard

CARD = ModelCard("tiny", "llama", 4, 64, 256, 1_000, 500_000, 2_000_000, "causal")
CONFIG = ExperimentConfig(ModelConfig("builtin", "builtin"), CorpusConfig("builtin", "builtin"), layer=2)


def estimated(config: ExperimentConfig = CONFIG, cores: int = 2) -> Estimate:
    return estimate(config, CARD, cores)


def test_the_lines_add_up() -> None:
    found = estimated()
    assert found.memory_bytes == int(sum(line.amount for line in found.lines if line.unit == "bytes of memory"))
    assert found.disk_bytes == int(sum(line.amount for line in found.lines if line.unit == "bytes on disk"))
    assert found.seconds == pytest.approx(sum(line.amount for line in found.lines if line.unit == "seconds"))
    assert all(line.explanation.endswith(".") for line in found.lines)


def test_more_features_need_more_of_everything() -> None:
    larger = estimated(replace(CONFIG, sae=SaeConfig(n_features=65_536)))
    assert larger.memory_bytes > estimated().memory_bytes
    assert larger.disk_bytes > estimated().disk_bytes
    assert larger.seconds > estimated().seconds


def test_more_tokens_take_longer_but_no_more_memory() -> None:
    longer = estimated(replace(CONFIG, training=TrainingConfig(tokens=20_000_000)))
    assert longer.seconds > 5 * estimated().seconds
    assert longer.memory_bytes == estimated().memory_bytes


def test_more_cores_are_faster() -> None:
    assert estimated(cores=8).seconds == pytest.approx(estimated(cores=2).seconds / 4)


def test_a_deeper_layer_takes_longer() -> None:
    assert estimated(replace(CONFIG, layer=3)).seconds > estimated(replace(CONFIG, layer=0)).seconds


def test_a_model_of_unknown_size_is_judged_by_its_file() -> None:
    assert estimate(CONFIG, replace(CARD, parameters=None), 2).memory_bytes > 0


def test_what_memory_cannot_hold_is_refused_with_the_estimate() -> None:
    huge = estimated(replace(CONFIG, sae=SaeConfig(n_features=1_048_576)))
    with pytest.raises(ConfigError, match=r"need about [\d.,]+ GB of memory and 8\.0 GB are available"):
        refuse_if_too_large(huge, 8_000_000_000)
    refuse_if_too_large(estimated(), 8_000_000_000)


def test_what_an_architecture_holds_is_counted() -> None:
    def memory(**sae: object) -> int:
        return estimated(replace(CONFIG, sae=replace(CONFIG.sae, **sae))).memory_bytes  # type: ignore[arg-type]

    assert memory(architecture="topk") < memory(architecture="jumprelu") < memory(architecture="relu")
    assert memory(architecture="relu") < memory(architecture="gated")
    assert memory(output_site="mlp_out") > memory() + 2 * CONFIG.training.segment_tokens * CARD.width * 4 - 1
    assert memory(output_site="mlp_out", skip=True) > memory(output_site="mlp_out")


def test_kept_hidden_states_take_disk() -> None:
    kept = estimated(replace(CONFIG, cache_hidden_states=True))
    assert kept.disk_bytes - estimated().disk_bytes == CONFIG.training.tokens * (64 * 4 + 8)


def test_without_a_k_it_does_not_matter_what_k_would_be() -> None:
    few, many = (replace(CONFIG, sae=SaeConfig("relu", k=k)) for k in (1, 4_096))
    assert estimated(few) == estimated(many)
    assert estimated(few).disk_bytes > estimated().disk_bytes  # as if a hundred fired, not 32


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_can_be_estimated(architecture: str) -> None:
    found = estimated(replace(CONFIG, sae=SaeConfig(architecture, n_features=64, k=4)))
    assert min(found.memory_bytes, found.disk_bytes, found.seconds) > 0
