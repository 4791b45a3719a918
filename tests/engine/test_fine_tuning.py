"""A finished SAE as the start of another training, instead of random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.engine import pipeline
from experiments.engine.architectures import architecture_of
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, sha256_of
from experiments.engine.config import ARCHITECTURES, ConfigError, SaeConfig, StartConfig
from experiments.engine.folding import folded, unfolded
from experiments.engine.input_statistics import Scales
from experiments.engine.job import Job
from experiments.engine.records import Checkpointed, Measurement, Record
from tests.engine.synthetic_source import SyntheticSource, small_config
from tests.engine.test_pipeline import always, finished, job_in, until, workplace
from tests.engine.test_training import start

__all__ = ["finished", "workplace"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_unfolding_is_the_inverse_of_folding(architecture: str) -> None:
    config = replace(small_config(), sae=SaeConfig(architecture, n_features=32, k=2))
    weights = start(config, SyntheticSource()).trainer.weights
    scales = Scales(0.37, 2.9)
    again = unfolded(folded(weights, scales), scales)
    assert architecture_of(config.sae)
    for name, weight in weights.present().items():
        torch.testing.assert_close(again.present()[name], weight, rtol=1e-6, atol=1e-7)
        assert torch.equal(weight, start(config, SyntheticSource()).trainer.weights.present()[name])


def tuned(job: Job, folder: Path, source: ExperimentFolder, **changes: object) -> Job:
    """The same job in `folder`, from the SAE that lies in `source`."""
    config = replace(job.config, start=StartConfig(7, sha256_of(source.weights)), **changes)  # type: ignore[arg-type]
    return replace(job, folder=folder, config=config, start_folder=source.path)


def explained(records: list[Record]) -> list[float]:
    return [record.values["explained_variance"] for record in records if isinstance(record, Measurement)]


def test_training_goes_on_where_the_start_ended(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = tuned(job_in(workplace, tmp_path), tmp_path / "tuned", finished[0], seed=5)
    found = explained(list(pipeline.run(job)))
    from_random = explained(finished[1])
    assert found[0] > from_random[0] + 0.05
    assert found[0] > from_random[-1] - 0.1


def test_another_layer_and_another_k_will_do(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = tuned(job_in(workplace, tmp_path), tmp_path / "tuned", finished[0], layer=2)
    job = replace(job, config=replace(job.config, sae=replace(job.config.sae, k=3)))
    assert explained(list(pipeline.run(job)))


def test_an_interrupted_fine_tuning_ends_in_the_same_weights(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    whole = tuned(job_in(workplace, tmp_path), tmp_path / "whole", finished[0])
    stopped = replace(whole, folder=tmp_path / "stopped")
    list(pipeline.run(whole))
    resume = until(pipeline.run(stopped, should_checkpoint=always), Checkpointed, 20)
    list(pipeline.run(stopped, resume))
    weights = [sha256_of(ExperimentFolder(job.folder).weights) for job in (whole, stopped)]
    assert weights[0] == weights[1] != sha256_of(finished[0].weights)


@pytest.mark.parametrize("sae", [SaeConfig("relu", n_features=40, k=4), SaeConfig(n_features=48, k=4)])
def test_another_kind_of_sae_is_refused(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]], sae: SaeConfig
) -> None:
    job = tuned(job_in(workplace, tmp_path), tmp_path / "tuned", finished[0], sae=sae)
    with pytest.raises(ConfigError, match="40 features of the architecture topk; what starts from it must have"):
        list(pipeline.run(job))


def test_another_width_is_refused(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = tuned(job_in(workplace, tmp_path), tmp_path / "tuned", finished[0], site="mlp_in")
    transcoder = replace(job.config.sae, output_site="mlp_out")
    with pytest.raises(ConfigError, match="reads hidden states of"):
        list(pipeline.run(replace(job, config=replace(job.config, sae=transcoder))))


def test_a_start_that_has_changed_is_refused(
    workplace: Path, tmp_path: Path, finished: tuple[ExperimentFolder, list[Record]]
) -> None:
    job = tuned(job_in(workplace, tmp_path), tmp_path / "tuned", finished[0])
    changed = replace(job, config=replace(job.config, start=StartConfig(7, "00" * 32)))
    with pytest.raises(ArtifactError, match="SAE of experiment 7, which this one starts from, is gone or has changed"):
        list(pipeline.run(changed))
