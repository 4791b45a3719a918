"""Loading model folders: heads that are there or not, and one sentence for what cannot be loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig, AutoModel, AutoModelForMaskedLM

from experiments.engine.config import ModelConfig, Place
from experiments.engine.language_model import ModelRefused
from experiments.engine.model_loading import load_language_model, open_language_model
from tests.engine.tiny_models import LAYERS, VOCABULARY, WIDTH, save_tiny_model


def test_loaded_model_knows_its_numbers(tmp_path: Path) -> None:
    model = load_language_model(save_tiny_model(tmp_path, "gpt2"), name="tiny", revision="abc")
    assert (model.kind, model.revision, model.has_head, model.card.name) == ("causal", "abc", True, "tiny")
    assert model.parameters == sum(tensor.numel() for tensor in load_file(tmp_path / "model.safetensors").values())
    assert model.memory_bytes >= 4 * model.parameters
    assert len(model.token_texts()) == model.vocabulary_size


def test_weights_without_a_head_still_give_hidden_states(tmp_path: Path) -> None:
    """The folder holds an encoder alone, as sentence encoders do."""
    save_tiny_model(tmp_path, "bert")
    AutoModel.from_pretrained(tmp_path).save_pretrained(tmp_path)
    model = load_language_model(tmp_path)
    assert (model.kind, model.has_head, model.unembedding(Place(0, "resid_post"))) == ("encoder", False, None)
    assert model.hidden_states(torch.tensor([[5, 6, 7]]), [Place(LAYERS - 1, "resid_post")])[0].shape == (1, 3, WIDTH)


def test_opening_a_local_model_asks_nobody(tmp_path: Path) -> None:
    opening = open_language_model(ModelConfig("local", "tiny"), str(save_tiny_model(tmp_path, "gpt2")))
    with pytest.raises(StopIteration) as end:
        next(opening)
    assert end.value.value.card.name == "tiny"


def _lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _change_config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def _cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_lose_a_tensor, "incomplete: .*mlp.c_fc.weight is not in its files"),
        (_change_config(model_type="unheard-of"), "does not know the family of tiny"),
        (_change_config(n_inner=7), "weights of tiny cannot be loaded"),
        (_change_config(is_encoder_decoder=True), "encoder-decoder"),
        (_cut_weights, "weights of tiny cannot be loaded"),
        (_no_tokenizer, "tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer of tiny cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("no"), "not a model folder"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(save_tiny_model(tmp_path, "gpt2"))
    with pytest.raises(ModelRefused, match=sentence) as refusal:
        load_language_model(tmp_path, name="tiny")
    message = str(refusal.value)
    assert str(tmp_path) not in message
    assert "\n" not in message
    assert message.endswith(".")


def test_code_in_a_model_folder_is_never_run(tmp_path: Path) -> None:
    save_tiny_model(tmp_path, "gpt2")
    witness = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(witness)!r}, 'w')")
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    _change_config(model_type="own", auto_map=auto_map)(tmp_path)
    with pytest.raises(ModelRefused, match="own Python code, which is never run"):
        load_language_model(tmp_path)
    assert not witness.exists()


def test_model_whose_blocks_are_one_and_the_same_is_refused(tmp_path: Path) -> None:
    """ALBERT runs one block again and again: there is no list that hands a hidden state on."""
    save_tiny_model(tmp_path, "bert")
    sizes = {"hidden_size": 32, "embedding_size": 16, "intermediate_size": 48}
    config = AlbertConfig(vocab_size=VOCABULARY, num_hidden_layers=3, num_attention_heads=4, **sizes)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="no list of 3 blocks"):
        load_language_model(tmp_path)
