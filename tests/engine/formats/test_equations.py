"""An imported SAE computes what the tool that wrote it computes, for every architecture that can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.engine.config import ARCHITECTURES
from experiments.engine.formats import FormatError, Origin, look_into
from experiments.engine.importing import native_weights
from experiments.engine.sae import Sae, SaeDescription
from tests.engine.formats.foreign_folders import (
    FEATURES,
    OUTPUT,
    WIDTH,
    Array,
    K,
    dictionary_config,
    dictionary_output,
    dictionary_tensors,
    saelens_config,
    saelens_output,
    saelens_tensors,
    sparsify_config,
    sparsify_output,
    sparsify_tensors,
    states,
    write_folder,
)
from tests.engine.random_sae import as_dense

SAELENS = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "transcoder": "jumprelu",
    "skip_transcoder": "jumprelu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
CLASSES = {
    "AutoEncoder": "relu",
    "AutoEncoderNew": "relu",
    "GatedAutoEncoder": "gated",
    "JumpReluAutoEncoder": "jumprelu",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "batchtopk",
    "MatryoshkaBatchTopKSAE": "matryoshka",
}


def imported(folder: Path) -> Sae:
    foreign = look_into(folder)
    description = SaeDescription(
        architecture=foreign.architecture,
        n_features=foreign.n_features,
        width=foreign.width,
        k=foreign.k or 1,
        model="builtin",
        layer=1,
        site="mlp_in",
        norm_limit=1e9,
        output_site="mlp_out" if foreign.is_transcoder else None,
    )
    return Sae(native_weights(folder), description)


def assert_equal_outputs(folder: Path, expected: tuple[Array, Array], x: Array) -> None:
    sae, inputs = imported(folder), torch.from_numpy(x)
    code = sae.encode(inputs)
    activations, reconstruction = as_dense(code).numpy(), sae.decode(code, inputs).numpy()
    assert (activations > 0).any()
    np.testing.assert_array_equal(activations > 0, expected[0] > 0)
    np.testing.assert_allclose(activations, expected[0], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(reconstruction, expected[1], rtol=2e-5, atol=1e-4)


def saelens_folder(folder: Path, config: dict[str, Any], tensors: dict[str, Array]) -> Path:
    return write_folder(folder, "sae_weights.safetensors", config, tensors)


@pytest.mark.parametrize("architecture", SAELENS)
def test_every_saelens_architecture(tmp_path: Path, architecture: str) -> None:
    config, tensors = saelens_config(architecture), saelens_tensors(architecture)
    folder = saelens_folder(tmp_path, config, tensors)
    assert look_into(folder).architecture == SAELENS[architecture] in ARCHITECTURES
    assert look_into(folder).output_width == (OUTPUT if "transcoder" in architecture else WIDTH)
    assert_equal_outputs(folder, saelens_output(config, tensors, states()), states())


def test_topk_that_rescales_by_the_norms_of_decoder_rows(tmp_path: Path) -> None:
    config, tensors = saelens_config("topk", rescale_acts_by_decoder_norm=True), saelens_tensors("topk")
    expected = saelens_output(config, tensors, states())
    plain = saelens_output(config | {"rescale_acts_by_decoder_norm": False}, tensors, states())
    assert (expected[0] > 0).tolist() != (plain[0] > 0).tolist()  # the norms decide what is among the largest
    assert_equal_outputs(saelens_folder(tmp_path, config, tensors), expected, states())


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
def test_a_decoder_bias_that_is_not_taken_from_the_input(tmp_path: Path, architecture: str) -> None:
    config = saelens_config(architecture, apply_b_dec_to_input=False)
    tensors = saelens_tensors(architecture)
    expected = saelens_output(config, tensors, states())
    assert_equal_outputs(saelens_folder(tmp_path, config, tensors), expected, states())


@pytest.mark.parametrize(("trained_as", "ours"), [("batchtopk", "batchtopk"), ("matryoshka_batchtopk", "matryoshka")])
def test_what_is_saved_as_jumprelu_is_read_as_what_it_was_trained_as(
    tmp_path: Path, trained_as: str, ours: str
) -> None:
    config, tensors = saelens_config("jumprelu"), saelens_tensors("jumprelu")
    config["metadata"] |= {"training_architecture": trained_as, "training_architecture_details": {"k": 7}}
    tensors["threshold"] = np.full(FEATURES, 0.8, np.float32)
    folder = saelens_folder(tmp_path, config, tensors)
    assert (look_into(folder).architecture, look_into(folder).k) == (ours, 7)
    assert_equal_outputs(folder, saelens_output(config, tensors, states()), states())


def test_the_files_of_a_batchtopk_training_keep_one_threshold_for_scaled_activations(tmp_path: Path) -> None:
    config = saelens_config("batchtopk", k=K, rescale_acts_by_decoder_norm=True)
    tensors = saelens_tensors("standard")
    folder = saelens_folder(tmp_path, config, tensors | {"topk_threshold": np.array(1.3)})
    f, _ = saelens_output(config, tensors, states())
    f = f * (f > 1.3)
    decoder = tensors["W_dec"].astype(np.float64)
    y = (f / np.linalg.norm(decoder, axis=1)) @ decoder + tensors["b_dec"]
    assert_equal_outputs(folder, (f, y), states())


@pytest.mark.parametrize("architecture", ["standard", "topk", "gated", "jumprelu"])
def test_the_scale_of_a_checkpoint_is_folded_in(tmp_path: Path, architecture: str) -> None:
    scale = 0.37
    config = saelens_config(architecture, normalize_activations="expected_average_only_in")
    tensors = saelens_tensors(architecture)
    folder = saelens_folder(tmp_path, config, tensors)
    with pytest.raises(FormatError, match="scaled by a factor that its files do not hold"):
        look_into(folder)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": scale, "has_whitening": False}))
    f, y = saelens_output(config, tensors, states() * np.float64(scale))
    assert_equal_outputs(folder, (f, y / scale), states())


def test_a_config_of_before_version_6_is_migrated(tmp_path: Path) -> None:
    tensors = saelens_tensors("topk")
    old = {
        "d_in": WIDTH,
        "d_sae": FEATURES,
        "dtype": "torch.float32",
        "model_name": "gelu-2l",
        "hook_point": "blocks.1.attn.hook_z",
        "hook_point_head_index": None,
        "context_size": 256,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
        "normalize_activations": False,
    }
    folder = saelens_folder(tmp_path, old, tensors)
    foreign = look_into(folder)
    assert (foreign.architecture, foreign.k, foreign.version) == ("topk", K, "")
    assert foreign.origin == Origin("gelu-2l", 1, "attn_heads", None, 256)
    config = saelens_config("topk")  # b_dec is taken from the input, as it was then
    assert_equal_outputs(folder, saelens_output(config, tensors, states()), states())


def test_logarithms_of_thresholds_and_scaling_factors_of_old_files(tmp_path: Path) -> None:
    config, tensors = saelens_config("jumprelu", finetuning_scaling_factor=True), saelens_tensors("jumprelu")
    tensors["threshold"] = np.abs(tensors["threshold"])
    factor = np.linspace(0.5, 1.5, FEATURES, dtype=np.float32)
    written = {name: tensor for name, tensor in tensors.items() if name != "threshold"}
    written |= {"log_threshold": np.log(tensors["threshold"]), "scaling_factor": factor}
    folder = saelens_folder(tmp_path, config, written)
    f, _ = saelens_output(config, tensors, states())
    assert_equal_outputs(folder, (f, (f * factor) @ tensors["W_dec"] + tensors["b_dec"]), states())


@pytest.mark.parametrize(
    ("transcode", "skip"), [(False, False), (True, False), (True, True)], ids=["topk", "transcoder", "skip"]
)
def test_every_kind_of_sparsify(tmp_path: Path, transcode: bool, skip: bool) -> None:
    config = sparsify_config(transcode=transcode, skip_connection=skip)
    tensors = sparsify_tensors(config)
    folder = write_folder(tmp_path / "layers.3.mlp", "sae.safetensors", config, tensors)
    (tmp_path / "config.json").write_text(json.dumps({"model": "EleutherAI/pythia-160m"}))
    foreign = look_into(folder)
    place = ("mlp_in", "mlp_out") if transcode else ("mlp_out", None)
    assert foreign.origin == Origin("EleutherAI/pythia-160m", 3, *place)
    assert (foreign.k, foreign.skip) == (K, skip)
    assert_equal_outputs(folder, sparsify_output(config, tensors, states()), states())


@pytest.mark.parametrize(("hook_point", "place"), [("layers.3", (3, "resid_post")), ("h.6.attn", (6, "attn_out"))])
def test_a_hook_point_of_sparsify_is_the_output_of_its_module(
    tmp_path: Path, hook_point: str, place: tuple[int, str]
) -> None:
    config = sparsify_config(num_latents=0, expansion_factor=2, d_in=15)
    tensors = {"encoder.weight": np.zeros((30, 15)), "encoder.bias": np.zeros(30)}
    tensors |= {"W_dec": np.zeros((30, 15)), "b_dec": np.zeros(15)}
    foreign = look_into(write_folder(tmp_path / hook_point, "sae.safetensors", config, tensors))
    assert (foreign.origin.layer, foreign.origin.site) == place
    assert foreign.n_features == 30


@pytest.mark.parametrize("dict_class", CLASSES)
def test_every_class_of_dictionary_learning(tmp_path: Path, dict_class: str) -> None:
    tensors = dictionary_tensors(dict_class)
    folder = write_folder(tmp_path, "ae.safetensors", dictionary_config(dict_class), tensors)
    foreign = look_into(folder)
    assert foreign.architecture == CLASSES[dict_class] in ARCHITECTURES
    assert foreign.origin == Origin("EleutherAI/pythia-70m-deduped", 3, "resid_post", None, 128)
    assert_equal_outputs(folder, dictionary_output(dict_class, tensors, states()), states())


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_become_float32(tmp_path: Path, dtype: type) -> None:
    tensors = {name: tensor.astype(dtype) for name, tensor in saelens_tensors("standard").items()}
    folder = saelens_folder(tmp_path, saelens_config("standard"), tensors)
    found = native_weights(folder)
    assert {weight.dtype for weight in found.present().values()} == {torch.float32}
    np.testing.assert_array_equal(found.decoder.numpy(), tensors["W_dec"].astype(np.float32))


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {name: torch.from_numpy(tensor).bfloat16() for name, tensor in saelens_tensors("standard").items()}
    folder = saelens_folder(tmp_path, saelens_config("standard"), {})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "sae_weights.safetensors")
    assert torch.equal(native_weights(folder).decoder, tensors["W_dec"].float())
