"""An SAE of another tool takes the place of a training: measured, evaluated, harvested, and trained further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from experiments.engine import pipeline
from experiments.engine.artifacts import ArtifactError, ExperimentFolder, sha256_of
from experiments.engine.config import ConfigError, ImportConfig, SaeConfig, StartConfig
from experiments.engine.fine_tuning import starting_weights
from experiments.engine.folding import with_unit_rows
from experiments.engine.formats import FormatError, weights_file
from experiments.engine.importing import native_weights
from experiments.engine.input_statistics import Scales
from experiments.engine.job import Job, ResumePoint
from experiments.engine.records import STAGES, Measurement, Record, StageFinished
from experiments.engine.sae import Sae, SaeDescription, load_sae
from tests.engine.formats.foreign_folders import normal, write_folder
from tests.engine.random_sae import random_states, random_weights
from tests.engine.test_pipeline import job_in, workplace
from tests.engine.tiny_models import WIDTH

__all__ = ["workplace"]
FEATURES, K = 40, 4


def write_sae(folder: Path, architecture: str = "topk", **changes: Any) -> Path:
    """A folder of SAELens for hidden states of the tiny model, whose decoder rows have many lengths."""
    config = {"architecture": architecture, "d_in": WIDTH, "d_sae": FEATURES, "dtype": "float32"}
    config |= {"metadata": {"sae_lens_version": "6.54.12"}}
    config |= {"k": K, "rescale_acts_by_decoder_norm": True} if architecture == "topk" else {}
    directions = normal(FEATURES, WIDTH) / np.linalg.norm(normal(FEATURES, WIDTH), axis=1, keepdims=True)
    lengths = np.linspace(0.5, 2, FEATURES, dtype=np.float32)[:, None]
    tensors = {
        "W_enc": (directions / lengths).T * 0.3,
        "W_dec": directions * lengths,
        "b_enc": normal(FEATURES, seed=2) * 0.001,
        "b_dec": normal(WIDTH, seed=3) * 0.001,
    }
    if architecture == "jumprelu":
        tensors["threshold"] = np.zeros(FEATURES, np.float32)
    return write_folder(folder, "sae_weights.safetensors", config | changes, tensors)


def import_job(workplace: Path, folder: Path, architecture: str = "topk", **changes: Any) -> Job:
    """An experiment whose SAE lies in its `imported` folder."""
    source = write_sae(ExperimentFolder(folder).imported, architecture)
    origin = ImportConfig("SAELens", "6.54.12", sha256_of(weights_file(source)), {"d_in": WIDTH}, [])
    job = job_in(workplace, folder)
    sae = SaeConfig({"standard": "relu"}.get(architecture, architecture), FEATURES, K)
    return replace(job, config=replace(job.config, sae=sae, imported=origin, **changes))


def ends(records: Iterator[Record]) -> dict[str, dict[str, Any]]:
    return {record.stage: record.values for record in records if isinstance(record, StageFinished)}


@pytest.mark.parametrize("architecture", ["topk", "standard", "jumprelu"])
def test_an_import_is_evaluated_and_harvested(workplace: Path, tmp_path: Path, architecture: str) -> None:
    job, folder = import_job(workplace, tmp_path, architecture), ExperimentFolder(tmp_path)
    expected = native_weights(folder.imported)
    found = ends(pipeline.run(job))
    assert list(found) == list(STAGES)
    assert found["training"] == {"weights_sha256": sha256_of(folder.weights), "steps": 0}
    assert found["capture"]["norm_limit"] > 0
    sae = load_sae(folder, sha256=found["training"]["weights_sha256"])
    for name, weight in expected.present().items():
        assert torch.equal(sae.weights.present()[name], weight)
    assert sae.description.expected_l0 == pytest.approx(found["evaluation"]["l0"], rel=0.3)
    assert found["harvest"]["activations"] > 0
    assert folder.features.exists()
    assert [path.name for path in folder.imported.iterdir()] == ["cfg.json"]  # the weights are there only once
    assert json.loads(folder.config.read_text())["imported"]["original"] == {"d_in": WIDTH}


def test_an_interrupted_import_goes_on(workplace: Path, tmp_path: Path) -> None:
    job = import_job(workplace, tmp_path)
    records = pipeline.run(job)
    last = next(record for record in records if isinstance(record, StageFinished))
    records.close()  # type: ignore[attr-defined]
    assert last.stage == "capture"
    assert weights_file(ExperimentFolder(tmp_path).imported).exists()
    again = ends(pipeline.run(job, ResumePoint("training")))
    assert list(again) == list(STAGES)
    assert list(ends(pipeline.run(job, ResumePoint("evaluation")))) == ["evaluation", "harvest"]


def test_only_as_much_text_is_read_as_is_measured_and_harvested(workplace: Path, tmp_path: Path) -> None:
    job = import_job(workplace, tmp_path, harvest_tokens=200)
    captured = ends(pipeline.run(job))["capture"]
    assert captured["training_tokens"] < 1_000 < job.config.training.tokens


def test_a_place_of_another_width_is_refused(workplace: Path, tmp_path: Path) -> None:
    job = import_job(workplace, tmp_path, "jumprelu", site="mlp_in")
    transcoder = replace(job.config.sae, output_site="mlp_out")
    tensors = ExperimentFolder(tmp_path).imported / "sae_weights.safetensors"
    write_folder(
        tensors.parent,
        tensors.name,
        {"architecture": "standard", "d_in": 16, "d_sae": FEATURES, "metadata": {"sae_lens_version": "6.0.0"}},
        {
            "W_enc": normal(16, FEATURES),
            "W_dec": normal(FEATURES, 16),
            "b_enc": normal(FEATURES),
            "b_dec": normal(16),
        },
    )
    origin = ImportConfig("SAELens", "", sha256_of(tensors), {}, [])
    config = replace(job.config, sae=transcoder, imported=origin)
    with pytest.raises(ConfigError, match="reads hidden states of 16 numbers and reconstructs 16; at this place"):
        list(pipeline.run(replace(job, config=config)))


def test_weights_that_changed_or_are_not_finite_are_refused(workplace: Path, tmp_path: Path) -> None:
    job = import_job(workplace, tmp_path)
    path = weights_file(ExperimentFolder(tmp_path).imported)
    tensors = load_file(path)
    tensors["b_dec"][0] = np.nan
    save_file(tensors, path)
    with pytest.raises(ArtifactError, match="The imported weights have changed"):
        list(pipeline.run(job))
    assert job.config.imported
    same = replace(job.config.imported, weights_sha256=sha256_of(path))
    with pytest.raises(FormatError, match=r"b_dec of sae_weights\.safetensors holds numbers that are not finite"):
        list(pipeline.run(replace(job, config=replace(job.config, imported=same))))
    assert not ExperimentFolder(tmp_path).weights.exists()


@pytest.mark.parametrize("architecture", ["standard", "jumprelu"])
def test_an_import_is_trained_further(workplace: Path, tmp_path: Path, architecture: str) -> None:
    job = import_job(workplace, tmp_path / "imported", architecture)
    list(pipeline.run(job))
    source = ExperimentFolder(tmp_path / "imported")
    config = replace(job.config, imported=None, start=StartConfig(7, sha256_of(source.weights)))
    config = replace(config, training=replace(config.training, metric_every=1))
    tuned = replace(job, folder=tmp_path / "tuned", config=config, start_folder=source.path)
    records = list(pipeline.run(tuned))
    explained = [record.values["explained_variance"] for record in records if isinstance(record, Measurement)]
    assert explained[-1] > explained[0]
    norms = load_sae(ExperimentFolder(tmp_path / "tuned")).weights.decoder.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(FEATURES))


def test_training_starts_with_the_function_that_was_imported(tmp_path: Path) -> None:
    weights = native_weights(write_sae(tmp_path, "jumprelu"))
    about = SaeDescription("jumprelu", FEATURES, WIDTH, K, "builtin", 1, "resid_post", 1e9)
    scales = Scales(0.5, 0.5)
    begun = starting_weights(Sae(weights, about), weights, scales)
    x = random_states(20, WIDTH).float()
    assert begun.threshold is not None
    assert begun.threshold.min() > 0  # of which a logarithm is taken
    scaled = Sae(begun, about).reconstruct(x * scales.input) / scales.output
    torch.testing.assert_close(scaled, Sae(weights, about).reconstruct(x), rtol=1e-4, atol=1e-4)


def test_rows_of_length_one_reconstruct_the_same() -> None:
    weights = random_weights(8, 20)
    lengths = torch.linspace(0.5, 2, 20, dtype=torch.float64)
    lengths[3] = 0
    longer = weights._replace(decoder=weights.decoder * lengths[:, None])
    unit, x = with_unit_rows(longer), random_states(6, 8)
    f, g = ((x @ w.encoder.T + w.encoder_bias).relu() for w in (longer, unit))
    torch.testing.assert_close(f @ longer.decoder, g @ unit.decoder)
    assert torch.equal(with_unit_rows(weights).decoder, weights.decoder)
    assert unit.decoder[3].eq(0).all()
