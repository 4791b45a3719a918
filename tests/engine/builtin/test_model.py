"""The model that ships: small, loadable by anyone, and it has learned the corpus."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from experiments.engine.builtin.corpus import HELD_OUT_SEED, document

MODEL = Path(__file__).parents[3] / "experiments" / "engine" / "builtin" / "model"


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(MODEL).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(MODEL)


def test_the_weights_are_small_and_computed_in_float32(model: PreTrainedModel) -> None:
    assert (MODEL / "model.safetensors").stat().st_size <= 6_000_000
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_tokenizer_begins_a_text_and_gives_it_back(tokenizer: PreTrainedTokenizerBase) -> None:
    text = 'Anna paid £14.50 - „schön“ - at 18:05.\n    return "ñ"'
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text


def test_digits_go_in_pairs(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("in 1987") == ["in", "Ġ19", "87"]


def test_nearly_every_word_of_a_class_is_one_token(tokenizer: PreTrainedTokenizerBase) -> None:
    spans = [
        (written.text, span) for written in (document(HELD_OUT_SEED, index) for index in range(200))
        for span in written.spans
    ]  # fmt: skip
    whole = [len(tokenizer.tokenize(" " + text[span.start : span.stop])) == 1 for text, span in spans]
    assert sum(whole) / len(whole) > 0.9


def test_the_model_has_learned_the_corpus(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    record = json.loads((MODEL / "training.json").read_text("utf-8"))
    losses, tokens = 0.0, 0
    for index in range(40):
        ids = tokenizer(document(HELD_OUT_SEED, index).text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            losses += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert losses / tokens == pytest.approx(record["final_held_out_loss"], abs=0.15)


def test_the_record_tells_how_it_was_trained() -> None:
    record = json.loads((MODEL / "training.json").read_text("utf-8"))
    assert record["parameters"] < 3_000_000
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"]
    assert {"seed", "tokens", "learning_rate"} <= set(record["settings"])
