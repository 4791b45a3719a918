"""From a corpus to windows: the held-out part is apart, the cache is shared, and what is too short is refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.engine import window_making
from experiments.engine.block_list import ModelRefused
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, TrainingConfig
from experiments.engine.corpus import WindowSet, prepare_windows
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.document_sources import is_held_out
from experiments.engine.records import Progress
from experiments.engine.text_tokenizer import TextTokenizer
from tests.engine.tiny_models import VOCABULARY, tiny_tokenizer

CONTEXT = 32


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(tiny_tokenizer("byte_level"), "causal")


def config(tokens: int = 2_000, **changes: Any) -> ExperimentConfig:
    made = ExperimentConfig(
        model=ModelConfig("local", "tiny"),
        corpus=CorpusConfig("upload", "stories"),
        layer=1,
        training=TrainingConfig(tokens=tokens, held_out_share=0.2),
        context_length=CONTEXT,
        evaluation_tokens=500,
        harvest_tokens=100,
    )
    return replace(made, **changes)


def stories(folder: Path, count: int = 200, name: str = "stories.jsonl") -> Path:
    path = folder / name
    texts = [f"Story {n}: once upon a time there was a dog called {n * 7919}." for n in range(count)]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return path


def finish(work: Generator[Progress, None, WindowSet]) -> tuple[WindowSet, list[Progress]]:
    told: list[Progress] = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return end.value, told


def test_windows_of_an_upload(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = stories(tmp_path)
    windows, told = finish(prepare_windows(config(), tokenizer, path, tmp_path))
    assert windows.split == "document"
    assert windows.training.tokens.shape[1] == windows.held_out.tokens.shape[1] == CONTEXT
    assert windows.training.text_tokens >= 2_000
    assert windows.held_out.text_tokens >= 500
    assert (told[-1].stage, told[-1].steps, told[-1].note) == ("capture", 2_500, "reading the corpus")
    texts = tokenizer.token_texts(VOCABULARY)
    assert "".join(texts[token] for token in windows.training.tokens[0][1:]).startswith("Story ")


def test_held_out_documents_are_those_that_their_text_says(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = stories(tmp_path)
    windows, _ = finish(prepare_windows(config(tokens=5_000), tokenizer, path, tmp_path))
    training = set(windows.training.documents.flat)
    held_out = set(windows.held_out.documents.flat)
    assert not training & held_out
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    assert all(is_held_out(texts[number], 0.2) for number in held_out)
    assert not any(is_held_out(texts[number], 0.2) for number in training)
    assert 20 < sum(is_held_out(text, 0.2) for text in texts) < 60


def test_no_more_is_read_than_is_needed(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    small, _ = finish(prepare_windows(config(1_024, evaluation_tokens=64), tokenizer, stories(tmp_path), tmp_path))
    story = 80  # tokens at most: the last document is read to its end
    assert 1_024 <= small.training.text_tokens < 1_024 + story
    assert 64 <= small.held_out.text_tokens < 64 + story


def test_harvest_may_want_more_than_training(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    windows, _ = finish(prepare_windows(config(1_024, harvest_tokens=3_000), tokenizer, stories(tmp_path), tmp_path))
    assert windows.training.text_tokens >= 3_000


def test_windows_are_made_once_and_shared(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = stories(tmp_path)
    first, told = finish(prepare_windows(config(), tokenizer, path, tmp_path))
    other_experiment = replace(config(), layer=2, seed=7)
    again, silence = finish(prepare_windows(other_experiment, tokenizer, path, tmp_path))
    assert told
    assert not silence
    assert np.array_equal(first.training.tokens, again.training.tokens)
    assert len(list((tmp_path / "windows").iterdir())) == 1


def test_other_text_length_or_tokenizer_is_another_entry_of_the_cache(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path, other = stories(tmp_path), stories(tmp_path, 201, "others.jsonl")
    encoder = TextTokenizer(tiny_tokenizer("word_piece"), "encoder")
    finish(prepare_windows(config(), tokenizer, path, tmp_path))
    finish(prepare_windows(config(), tokenizer, other, tmp_path))
    finish(prepare_windows(config(context_length=16), tokenizer, path, tmp_path))
    finish(prepare_windows(config(), encoder, path, tmp_path))
    assert len(list((tmp_path / "windows").iterdir())) == 4


def test_what_nobody_went_on_with_is_removed_after_a_week(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    old, young = tmp_path / "windows" / ".unfinished-old", tmp_path / "windows" / ".unfinished-young"
    eight_days_ago = time.time() - 8 * 24 * 60 * 60
    for folder in (old, young):
        (folder / "windows").mkdir(parents=True)
        os.utime(folder, (eight_days_ago, eight_days_ago))
    os.utime(old / "windows", (eight_days_ago, eight_days_ago))
    finish(prepare_windows(config(), tokenizer, stories(tmp_path), tmp_path))
    assert (old.exists(), young.exists()) == (False, True)


def test_single_long_document_gives_its_last_windows(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    path.write_text(json.dumps({"text": "The dog sat on the mat, and the sun was warm. " * 60}))
    windows, _ = finish(prepare_windows(config(), tokenizer, path, tmp_path))
    assert windows.split == "window"
    everything = len(windows.training) + len(windows.held_out)
    assert len(windows.held_out) == round(0.2 * everything)


def test_very_long_document_is_encoded_in_parts(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_making, "BATCH_CHARACTERS", 1_000)
    text = " ".join(f"Word{n}" for n in range(2_000))
    path = tmp_path / "book.jsonl"
    path.write_text(json.dumps({"text": text}))
    windows, _ = finish(prepare_windows(config(10**6), tokenizer, path, tmp_path))
    texts = tokenizer.token_texts(VOCABULARY)
    part = windows.training
    read = "".join(texts[token] for token in part.tokens[~part.special])
    assert text.startswith(read)
    assert len(read) > 5_000


def test_two_documents_are_needed_for_a_window_each(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = stories(tmp_path, 1)
    with pytest.raises(CorpusError, match="less than two documents"):
        finish(prepare_windows(config(packing="one_document"), tokenizer, path, tmp_path))


@pytest.mark.parametrize("characters", [0, 20, 60])
def test_corpus_of_less_than_two_windows_is_refused(tokenizer: TextTokenizer, tmp_path: Path, characters: int) -> None:
    path = tmp_path / "short.txt"
    path.write_text("abcdefghij"[:10] * (characters // 10))
    sentence = rf"The corpus holds \d+ tokens, and {2 * CONTEXT} are needed"
    with pytest.raises(CorpusError, match=sentence):
        finish(prepare_windows(config(), tokenizer, path, tmp_path))
    assert not list((tmp_path / "windows").iterdir())


def test_upload_that_is_gone_is_said_so(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="upload it again"):
        finish(prepare_windows(config(), tokenizer, tmp_path / "gone.txt", tmp_path))


def test_identical_documents_are_left_out_by_choice(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    texts = [f"Story {n % 150}: once upon a time there was a dog called {n % 150 * 7919}." for n in range(300)] + [" "]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    everything = config(tokens=10**6, evaluation_tokens=10**6)
    twice, _ = finish(prepare_windows(everything, tokenizer, path, tmp_path))
    distinct = replace(everything, corpus=replace(everything.corpus, deduplicate=True))
    once, _ = finish(prepare_windows(distinct, tokenizer, path, tmp_path))
    assert (twice.read.duplicate_documents, twice.read.blank_documents) == (0, 1)
    assert (once.read.duplicate_documents, once.read.blank_documents) == (150, 1)
    assert once.read.training_documents + once.read.held_out_documents == 150
    assert twice.read.training_documents == 2 * once.read.training_documents
    assert set(once.training.documents.flat) | set(once.held_out.documents.flat) <= set(range(150))


def test_choices_of_reading_are_other_entries_of_the_cache(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = stories(tmp_path)
    made = config()
    finish(prepare_windows(made, tokenizer, path, tmp_path))
    finish(prepare_windows(replace(made, packing="one_document"), tokenizer, path, tmp_path))
    distinct = replace(made, corpus=replace(made.corpus, deduplicate=True))
    finish(prepare_windows(distinct, tokenizer, path, tmp_path))
    assert len(list((tmp_path / "windows").iterdir())) == 3


def test_windows_of_one_document_each(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    texts = [f"Story {n}: once upon a time, and so on and on. " * (1 + n % 3) for n in range(90)]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    wanted = config(tokens=10**6, evaluation_tokens=10**6, packing="one_document")
    windows, _ = finish(prepare_windows(wanted, tokenizer, path, tmp_path))
    assert len(windows.training) + len(windows.held_out) == 90
    assert windows.read.cut_tokens > 0
    readable = tokenizer.token_texts(VOCABULARY)
    part = windows.training
    for tokens, special, documents in zip(part.tokens, part.special, part.documents, strict=True):
        read = "".join(readable[token] for token in tokens[~special])
        assert texts[documents[0]].startswith(read)
        assert len(read) == len(texts[documents[0]]) or (documents == documents[0]).all()


CHAT_TEMPLATE = "{% for message in messages %}<|turn|>{{ message['role'] }}: {{ message['content'] }}{% endfor %}"


def conversations(folder: Path) -> Path:
    path = folder / "chats.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"Hello {n}!"}, {"role": "model", "content": "Once upon a time."}]}
        for n in range(150)
    ]
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"messages": []}]))
    return path


def test_conversations_are_read_through_the_models_template(tmp_path: Path) -> None:
    chat = tiny_tokenizer("byte_level")
    chat.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    chat.chat_template = CHAT_TEMPLATE
    tokenizer = TextTokenizer(chat, "causal")
    wanted = config(corpus=CorpusConfig("upload", "chats", chat_template=True))
    windows, _ = finish(prepare_windows(wanted, tokenizer, conversations(tmp_path), tmp_path))
    turn = chat.convert_tokens_to_ids("<|turn|>")
    everywhere = windows.training.tokens == turn
    assert everywhere.any()
    assert windows.training.special[everywhere].all()
    assert windows.training.tokens[windows.training.special].tolist().count(turn) == everywhere.sum()


def test_conversations_are_refused_for_a_model_without_a_template(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    wanted = config(corpus=CorpusConfig("upload", "chats", chat_template=True))
    with pytest.raises(ModelRefused, match="no chat template"):
        finish(prepare_windows(wanted, tokenizer, conversations(tmp_path), tmp_path))
