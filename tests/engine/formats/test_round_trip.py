"""What is exported in the format of another tool is the same SAE, and comes back bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from experiments.engine.architectures import architecture_of
from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.config import ARCHITECTURES, SaeConfig
from experiments.engine.formats import FormatError, export, look_into
from experiments.engine.importing import native_weights
from experiments.engine.kernels import Weights
from experiments.engine.sae import Sae, SaeDescription, load_sae, save_sae
from tests.engine.formats.foreign_folders import saelens_output, sparsify_output
from tests.engine.random_sae import as_dense, random_states, random_weights

FEATURES, WIDTH, K = 24, 10, 3


def saved(folder: Path, architecture: str, site: str = "resid_post", *, skip: bool = False, **changes: Any) -> Sae:
    """A finished SAE of ours with random weights; changed to a transcoder by its `output_site`."""
    description = SaeDescription(architecture, FEATURES, WIDTH, K, "hub:gpt2", 3, site, 50.0, **changes)
    weights = random_weights(WIDTH, FEATURES, dtype=torch.float32)
    extra = architecture_of(SaeConfig(architecture, FEATURES, K)).extra_weights(random_states(9, FEATURES).float())
    weights = weights._replace(**{name: weight + 0.1 for name, weight in extra.items()})
    if architecture in ("batchtopk", "matryoshka"):
        weights = weights._replace(threshold=torch.full((FEATURES,), 0.7))
    if skip:
        weights = weights._replace(skip=torch.randn(WIDTH, WIDTH))
    sae = Sae(weights, description)
    save_sae(sae, ExperimentFolder(folder))
    write_json(ExperimentFolder(folder).config, {"context_length": 64})
    return sae


def assert_same(found: Weights, expected: Weights) -> None:
    assert found.present().keys() == expected.present().keys()
    for name, weight in expected.present().items():
        assert torch.equal(found.present()[name], weight), name


def exported(name: str, source: Path, target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    target.mkdir(parents=True)
    config, weights = export(name, ExperimentFolder(source), target, {"experiment": 5})
    return json.loads(config.read_text()), load_file(weights)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_comes_back_from_saelens(tmp_path: Path, architecture: str) -> None:
    sae = saved(tmp_path / "ours", architecture)
    config, tensors = exported("saelens", tmp_path / "ours", tmp_path / "theirs")
    foreign = look_into(tmp_path / "theirs")
    assert (foreign.architecture, foreign.n_features, foreign.width) == (architecture, FEATURES, WIDTH)
    assert (foreign.origin.model, foreign.origin.layer, foreign.origin.site) == ("gpt2", 3, "resid_post")
    assert foreign.k == K or architecture in ("relu", "gated", "jumprelu")
    assert config["metadata"]["latent_lens"] == {"experiment": 5}
    assert_same(native_weights(tmp_path / "theirs"), sae.weights)
    x = random_states(30, WIDTH).float()
    activations, reconstruction = saelens_output(config, tensors, x.numpy())
    np.testing.assert_allclose(as_dense(sae.encode(x)), activations, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(x), reconstruction, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("skip", [False, True])
def test_transcoders_come_back(tmp_path: Path, skip: bool) -> None:
    for architecture, tool in (("topk", "sparsify"), ("jumprelu", "saelens")):
        sae = saved(tmp_path / architecture, architecture, "mlp_in", skip=skip, output_site="mlp_out")
        config, tensors = exported(tool, tmp_path / architecture, tmp_path / tool)
        foreign = look_into(tmp_path / tool)
        assert (foreign.is_transcoder, foreign.skip, foreign.architecture) == (True, skip, architecture)
        assert (foreign.origin.layer, foreign.origin.site, foreign.origin.output_site) == (3, "mlp_in", "mlp_out")
        assert_same(native_weights(tmp_path / tool), sae.weights)
        x = random_states(30, WIDTH).float()
        output = sparsify_output if tool == "sparsify" else saelens_output
        np.testing.assert_allclose(sae.reconstruct(x), output(config, tensors, x.numpy())[1], rtol=1e-4, atol=1e-4)


def test_topk_comes_back_from_sparsify(tmp_path: Path) -> None:
    sae = saved(tmp_path / "ours", "topk", "resid_pre")
    exported("sparsify", tmp_path / "ours", tmp_path / "theirs")
    foreign = look_into(tmp_path / "theirs")
    assert (foreign.architecture, foreign.k, foreign.origin.site, foreign.origin.layer) == ("topk", K, "resid_pre", 3)
    assert_same(native_weights(tmp_path / "theirs"), sae.weights)


def test_what_a_format_has_no_words_for_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "gated", "gated")
    with pytest.raises(FormatError, match="sparsify has TopK SAEs"):
        exported("sparsify", tmp_path / "gated", tmp_path / "1")
    saved(tmp_path / "transcoder", "topk", "mlp_in", output_site="mlp_out")
    with pytest.raises(FormatError, match="a TopK transcoder fits sparsify's format"):
        exported("saelens", tmp_path / "transcoder", tmp_path / "2")


def test_files_are_as_torch_reads_them(tmp_path: Path) -> None:
    """The exported safetensors file is read by the library of the format, and by ours, with the same numbers."""
    saved(tmp_path / "ours", "relu")
    _, tensors = exported("saelens", tmp_path / "ours", tmp_path / "theirs")
    ours = load_sae(ExperimentFolder(tmp_path / "ours")).weights
    np.testing.assert_array_equal(tensors["W_enc"], ours.encoder.numpy().T)
    np.testing.assert_array_equal(tensors["W_dec"], ours.decoder.numpy())
