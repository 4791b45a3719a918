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

from experiments.engine import corpus as corpus_module
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


def test_closing_half_way_leaves_nothing_behind(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "BATCH_CHARACTERS", 500)
    work = prepare_windows(config(), tokenizer, stories(tmp_path), tmp_path)
    next(work)
    work.close()
    assert not list((tmp_path / "windows").iterdir())


def test_what_a_killed_process_left_is_removed_after_a_day(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    old, young = tmp_path / "windows" / ".unfinished-old", tmp_path / "windows" / ".unfinished-young"
    for folder in (old, young):
        (folder / "inside").mkdir(parents=True)
    yesterday = time.time() - 25 * 60 * 60
    os.utime(old, (yesterday, yesterday))
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
    monkeypatch.setattr(corpus_module, "BATCH_CHARACTERS", 1_000)
    text = " ".join(f"Word{n}" for n in range(2_000))
    path = tmp_path / "book.jsonl"
    path.write_text(json.dumps({"text": text}))
    windows, _ = finish(prepare_windows(config(10**6), tokenizer, path, tmp_path))
    texts = tokenizer.token_texts(VOCABULARY)
    part = windows.training
    read = "".join(texts[token] for token in part.tokens[~part.special])
    assert text.startswith(read)
    assert len(read) > 5_000


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
