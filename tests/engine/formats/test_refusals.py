"""Files that cannot be used are refused with one sentence that says why, before a number of them is used."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from experiments.engine.formats import FormatError, is_sae_folder, look_into, read_weights
from tests.engine.formats.foreign_folders import (
    FEATURES,
    WIDTH,
    dictionary_config,
    dictionary_tensors,
    saelens_config,
    saelens_tensors,
    sparsify_config,
    sparsify_tensors,
    write_folder,
)

WEIGHTS = "sae_weights.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "sae", WEIGHTS, saelens_config("standard"), saelens_tensors("standard"))


def refusal(folder: Path) -> str:
    with pytest.raises(FormatError) as caught:
        read_weights(folder)
    return str(caught.value)


def with_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    return folder


def with_bytes(folder: Path, change: Callable[[bytes], bytes]) -> Path:
    (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes()))
    return folder


def test_what_can_be_read_is_not_refused(folder: Path) -> None:
    assert is_sae_folder(folder)
    assert look_into(folder).n_features == FEATURES
    assert set(read_weights(folder)) == {"encoder", "encoder_bias", "decoder", "decoder_bias"}


@pytest.mark.parametrize("kept", [1 / 4, 0.999])
def test_a_half_written_file(folder: Path, kept: float) -> None:
    with_bytes(folder, lambda content: content[: int(len(content) * kept)])
    assert refusal(folder) == f"{WEIGHTS} ends too early: it was not written or uploaded whole."


def test_a_file_that_is_longer_than_its_tensors(folder: Path) -> None:
    assert "longer than its tensors" in refusal(with_bytes(folder, lambda content: content + b"more"))


def test_a_header_that_lies(folder: Path) -> None:
    shifted = with_bytes(folder, lambda content: content.replace(b'"data_offsets":[0,', b'"data_offsets":[8,', 1))
    assert "damaged" in refusal(shifted)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, pickle.dumps([1]), b"PK\x03\x04 a zipped pickle", b"\xff" * 64])
def test_a_pickle_or_anything_else_under_that_name(folder: Path, content: bytes) -> None:
    sentence = refusal(with_bytes(folder, lambda _: content))
    assert "is not a safetensors file; pickled weights (.pt, .bin) are never opened" in sentence


def test_a_folder_with_a_pickle_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "ae.pt")
    assert refusal(folder) == "ae.pt is a pickle, which is never opened: save its tensors as a safetensors file."
    assert not is_sae_folder(folder)


def test_no_weights_and_too_many(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "one.safetensors")
    assert look_into(folder).width == WIDTH  # the only one must be it
    (folder / "two.safetensors").write_bytes(b"")
    assert "Which file holds the weights?" in refusal(folder)
    (folder / "one.safetensors").unlink()
    (folder / "two.safetensors").unlink()
    assert "There are no weights here" in refusal(folder)


@pytest.mark.parametrize("name", ["W_enc", "W_dec", "b_enc", "b_dec"])
def test_shapes_that_do_not_fit_the_config(folder: Path, name: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors[name] = np.zeros((3, *tensors[name].shape[1:]), np.float32)
    save_file(tensors, folder / WEIGHTS)
    assert f"The tensor {name} of {WEIGHTS} has the shape [3" in refusal(folder)


def test_tensors_that_are_missing_or_too_many(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({name: tensor for name, tensor in tensors.items() if name != "b_enc"}, folder / WEIGHTS)
    assert "lacks the tensor b_enc" in refusal(folder)
    save_file(tensors | {"extra": np.zeros(1, np.float32)}, folder / WEIGHTS)
    assert "has a tensor extra, which an SAE of this kind does not have" in refusal(folder)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite(folder: Path, number: float) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["W_dec"][-1, -1] = number
    save_file(tensors, folder / WEIGHTS)
    assert refusal(folder) == f"The tensor W_dec of {WEIGHTS} holds numbers that are not finite."


def test_a_dtype_of_no_weights(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"b_dec": np.zeros(WIDTH, np.int8)}, folder / WEIGHTS)
    assert "has the dtype I8; read are F64, F32" in refusal(folder)


def test_what_the_equations_here_do_not_have(folder: Path) -> None:
    assert "The architecture 'temporal' cannot be read; supported are standard, topk" in refusal(
        with_config(folder, architecture="temporal")
    )
    with_config(folder, architecture="standard", normalize_activations="layer_norm")
    assert "The normalisation 'layer_norm' cannot be read; supported are none" in refusal(folder)
    with_config(folder, normalize_activations="none", activation_fn="tanh-relu")
    assert "The activation function 'tanh-relu' cannot be read; supported are relu" in refusal(folder)
    with_config(folder, activation_fn="relu", metadata={"sae_lens_version": "6.0.0", "hook_head_index": 3})
    assert "a single attention head" in refusal(folder)


@pytest.mark.parametrize("sizes", [{"d_sae": 0}, {"d_sae": "30"}, {"d_in": None}, {"d_in": True}, {"d_sae": 30.0}])
def test_sizes_that_are_none(folder: Path, sizes: dict[str, Any]) -> None:
    assert "must be a whole number above zero" in refusal(with_config(folder, **sizes))


@pytest.mark.parametrize("text", ["", "[]", "{", '"cfg"', "[" * 50_000, '{"d_in": ' * 900, '{"d_in": "\\ud800"}'])
def test_a_config_that_is_no_json_object(folder: Path, text: str) -> None:
    (folder / "cfg.json").write_text(text)
    assert refusal(folder) == "cfg.json is not a JSON object that can be kept."


def test_configs_that_are_missing_too_long_or_of_nobody(folder: Path) -> None:
    (folder / "cfg.json").write_text(json.dumps({"weights": "mine"}))
    assert "supported are SAELens, sparsify, dictionary_learning" in refusal(folder)
    (folder / "cfg.json").write_text(json.dumps({"text": "a" * 70_000}))
    assert "has more than 65,536 bytes" in refusal(folder)
    (folder / "cfg.json").unlink()
    assert "There is no config here" in refusal(folder)


def test_refusals_of_the_other_tools(tmp_path: Path) -> None:
    tensors = sparsify_tensors(sparsify_config())
    group = write_folder(tmp_path / "1", "sae.safetensors", sparsify_config(activation="groupmax"), tensors)
    assert "The activation 'groupmax' cannot be read; supported are topk." in refusal(group)
    embed = write_folder(tmp_path / "2", "sae.safetensors", sparsify_config(embed_skip=True), tensors)
    assert "reads more than hidden states" in refusal(embed)
    cross = write_folder(
        tmp_path / "3", "ae.safetensors", dictionary_config("CrossCoder"), dictionary_tensors("AutoEncoder")
    )
    assert "The dictionary class 'CrossCoder' cannot be read; supported are AutoEncoder" in refusal(cross)


def test_a_model_whose_weights_were_processed_gets_a_note(folder: Path) -> None:
    metadata = {"sae_lens_version": "6.1.0", "model_from_pretrained_kwargs": {"center_writing_weights": True}}
    (note,) = look_into(with_config(folder, metadata=metadata)).notes
    assert "processed (center_writing_weights)" in note
