"""What a preview shows is what would be trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig
from experiments.engine.corpus import prepare_windows
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.model_loading import open_tokenizer
from experiments.engine.preview import preview_tokens
from experiments.engine.text_tokenizer import TextTokenizer
from tests.engine.test_corpus import finish, stories
from tests.engine.tiny_models import VOCABULARY, save_tiny_model, tiny_tokenizer

CONFIG = ExperimentConfig(
    ModelConfig("local", "tiny"), CorpusConfig("upload", "stories"), layer=0, context_length=48, harvest_tokens=100
)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(tiny_tokenizer("byte_level"), "causal")


@pytest.mark.parametrize("packing", ["across_documents", "one_document"])
def test_windows_are_the_first_that_would_be_trained_on(tokenizer: TextTokenizer, tmp_path: Path, packing: str) -> None:
    path, config = stories(tmp_path), replace(CONFIG, packing=packing)
    preview = preview_tokens(config, tokenizer, path)
    windows, _ = finish(prepare_windows(config, tokenizer, path, tmp_path))
    readable = tokenizer.token_texts(VOCABULARY)
    assert len(preview.windows) == 3
    for shown, tokens, special in zip(preview.windows, windows.training.tokens, windows.training.special, strict=False):
        assert [token.text for token in shown] == [readable[token] for token in tokens]
        assert [token.special for token in shown] == special.tolist()
        assert shown[0].begins
    assert any(token.padding for window in preview.windows for token in window) == (packing == "one_document")


def test_tokens_are_counted_per_character(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    preview = preview_tokens(CONFIG, tokenizer, stories(tmp_path))
    assert preview.sampled_documents == 200
    assert 0.1 < preview.tokens_per_character < 1.0


@pytest.mark.parametrize(("deduplicate", "documents"), [(False, 20), (True, 5)])
def test_duplicates_are_left_out_where_training_would_do_so(
    tokenizer: TextTokenizer, tmp_path: Path, deduplicate: bool, documents: int
) -> None:
    path = tmp_path / "twice.jsonl"
    lines = [json.dumps({"text": f"Tale {number % 5}: the cat saw a bird, and slept."}) for number in range(20)]
    path.write_text("\n".join(lines))
    corpus = CorpusConfig("upload", "twice", column="text", deduplicate=deduplicate)
    assert preview_tokens(replace(CONFIG, corpus=corpus), tokenizer, path).sampled_documents == documents


def test_built_in_corpus_is_shown_too(tokenizer: TextTokenizer) -> None:
    preview = preview_tokens(replace(CONFIG, corpus=CorpusConfig("builtin", "builtin")), tokenizer, None)
    assert len(preview.windows) == 3


def test_less_than_a_window_is_said_so(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="less than one window of 48"):
        preview_tokens(CONFIG, tokenizer, stories(tmp_path, 1))


def test_tokenizer_needs_no_weights(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny", "bert")
    (folder / "model.safetensors").unlink()
    opened = open_tokenizer(ModelConfig("local", "tiny"), str(folder))
    assert opened.frame.closing == (3,)  # an encoder's
