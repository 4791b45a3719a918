"""Reading config.json and safetensors headers of many layouts, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.engine.model_card import ModelCardError, Weights, read_model_card

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_hidden_layers": 5,
    "vocab_size": 512,
    "max_position_embeddings": 256,
}


def write_weights(path: Path, shapes: dict[str, list[int]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def model_folder(folder: Path, config: object, *, weights: bool = True) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    if weights:
        write_weights(folder / "model.safetensors", {"embedding": [512, 64], "norm": [64]})
    return folder


def test_card_of_a_plain_model(tmp_path: Path) -> None:
    card = read_model_card(model_folder(tmp_path, LLAMA), "local:stories")
    assert (card.name, card.family, card.kind) == ("local:stories", "llama", "causal")
    assert (card.layers, card.width, card.vocabulary_size, card.context_length) == (5, 64, 512, 256)
    assert card.parameters == 512 * 64 + 64
    assert card.weights_bytes == (tmp_path / "model.safetensors").stat().st_size


def test_parameters_are_counted_by_block_over_all_shards(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA | {"num_hidden_layers": 2}, weights=False)
    write_weights(tmp_path / "model-1.safetensors", {"h.0.attn.weight": [4, 4], "h.1.attn.weight": [4, 4]})
    write_weights(tmp_path / "model-2.safetensors", {"h.1.mlp.weight": [4, 2], "head.weight": [9, 4]})
    card = read_model_card(tmp_path)
    assert (card.parameters, card.block_parameters) == (76, (16, 24))


def test_numbers_in_names_that_are_not_blocks_say_nothing_about_blocks(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA, weights=False)
    write_weights(tmp_path / "model.safetensors", {"mlp.7.weight": [4, 4]})
    assert read_model_card(tmp_path).block_parameters == ()


@pytest.mark.parametrize(
    ("config", "layers", "width", "context_length"),
    [
        ({"n_layer": 12, "n_embd": 768, "n_positions": 1024, "n_ctx": 512}, 12, 768, 1024),
        ({"num_layers": 3, "d_model": 32, "max_seq_len": 99}, 3, 32, 99),
        ({"n_layers": 6, "dim": 768, "max_position_embeddings": 512}, 6, 768, 512),
        ({"text_config": {"hidden_size": 640, "num_hidden_layers": 18, "max_position_embeddings": 32}}, 18, 640, 32),
        ({"n_layer": 2, "hidden_size": 16}, 2, 16, 2_048),
    ],
)
def test_families_that_name_things_differently(
    tmp_path: Path, config: dict[str, Any], layers: int, width: int, context_length: int
) -> None:
    card = read_model_card(model_folder(tmp_path, {"vocab_size": 512, **config}))
    assert (card.layers, card.width, card.context_length) == (layers, width, context_length)
    assert (card.family, card.kind, card.name) == ("unknown", "unknown", tmp_path.name)


def test_tokenizer_that_reads_less_than_the_position_table_counts(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA)
    for limit, context_length in ((128, 128), (10**30, 256)):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": limit}))
        assert read_model_card(tmp_path).context_length == context_length


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [("BertForMaskedLM", "encoder"), ("GPT2LMHeadModel", "causal"), ("BertModel", "unknown"), (None, "unknown")],
)
def test_kind_is_what_the_architecture_says(tmp_path: Path, architecture: str | None, kind: str) -> None:
    config = {**LLAMA, "architectures": architecture and [architecture]}
    assert read_model_card(model_folder(tmp_path, config)).kind == kind


def test_sharded_weights_are_counted_together(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA, weights=False)
    write_weights(tmp_path / "model-00001-of-00002.safetensors", {"a": [2, 3]})
    write_weights(tmp_path / "model-00002-of-00002.safetensors", {"b": [4]})
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_model_card(tmp_path).parameters == 10
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelCardError, match=r"the weights file model-00002-of-00002\.safetensors is missing"):
        read_model_card(tmp_path)


def test_other_precisions_beside_the_weights_are_not_counted(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA)
    write_weights(tmp_path / "model.fp16.safetensors", {"a": [1_000]})
    assert read_model_card(tmp_path).parameters == 512 * 64 + 64


def test_weights_that_are_elsewhere_are_taken_as_said(tmp_path: Path) -> None:
    card = read_model_card(model_folder(tmp_path, LLAMA, weights=False), weights=Weights(None, 99))
    assert (card.parameters, card.weights_bytes) == (None, 99)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"is_encoder_decoder": True}, "encoder-decoder"),
        ({"vocab_size": 5}, "does not state its layers"),
        ({**LLAMA, "hidden_size": "64"}, "does not state its layers"),
        ({**LLAMA, "num_hidden_layers": -1}, "does not state its layers"),
        ([LLAMA], "no readable config.json"),
    ],
)
def test_config_that_makes_no_sense_is_refused(tmp_path: Path, config: object, sentence: str) -> None:
    with pytest.raises(ModelCardError, match=sentence):
        read_model_card(model_folder(tmp_path, config))


def test_folder_without_config_or_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match=r"no readable config\.json"):
        read_model_card(tmp_path)
    model_folder(tmp_path, LLAMA, weights=False)
    with pytest.raises(ModelCardError, match="has no weights"):
        read_model_card(tmp_path)


def test_pickled_weights_are_never_accepted(tmp_path: Path) -> None:
    model_folder(tmp_path, LLAMA, weights=False)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(ModelCardError, match="pickled weights, which are never opened; convert them to safetensors"):
        read_model_card(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\x05" + b"\0" * 7,
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
    ],
)
def test_damaged_weights_are_refused_without_a_path(tmp_path: Path, content: bytes) -> None:
    model_folder(tmp_path, LLAMA)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelCardError, match="not a safetensors file") as refusal:
        read_model_card(tmp_path, "stories")
    assert str(tmp_path) not in str(refusal.value)


def test_reading_needs_no_torch_and_no_transformers() -> None:
    modules = "experiments.engine.model_card, experiments.engine.documents, experiments.engine.windows"
    program = f"import sys, {modules}; print(*{{'torch', 'transformers', 'datasets', 'pyarrow'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
