"""An interrupted preparation goes on, and ends in the same files as one that nothing disturbed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.engine import corpus, window_making
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, TrainingConfig
from experiments.engine.corpus import WindowSet, prepare_windows
from experiments.engine.folder_claims import claimed
from experiments.engine.records import Progress
from experiments.engine.text_tokenizer import TextTokenizer
from tests.engine.tiny_models import tiny_tokenizer

ROOT = Path(__file__).parents[2]


def config(**changes: Any) -> ExperimentConfig:
    made = ExperimentConfig(
        model=ModelConfig("local", "tiny"),
        corpus=CorpusConfig("upload", "stories", content_hash="tests"),
        layer=1,
        training=TrainingConfig(tokens=6_000, held_out_share=0.2),
        context_length=32,
        evaluation_tokens=900,
        harvest_tokens=100,
    )
    return replace(made, **changes)


def tiny() -> TextTokenizer:
    return TextTokenizer(tiny_tokenizer("byte_level"), "causal")


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return tiny()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_making, "BATCH_CHARACTERS", 700)
    monkeypatch.setattr(window_making, "SAVE_SECONDS", 0.0)


def stories(folder: Path) -> Path:
    """Every third story is one that was told before, some rows are blank."""
    path = folder / "stories.jsonl"
    numbers = [n if n % 3 else n // 2 for n in range(500)]
    texts = [f"Story {n}: once upon a time there was a dog called {n * 7919}." if n % 7 else " " for n in numbers]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return path


def finish(work: Generator[Progress, None, WindowSet]) -> WindowSet:
    while True:
        try:
            next(work)
        except StopIteration as end:
            windows: WindowSet = end.value
            return windows


def files_of(cache: Path) -> dict[str, bytes]:
    folders = list((cache / "windows").iterdir())
    assert len(folders) == 1
    assert not folders[0].name.startswith(".")
    return {str(path.relative_to(folders[0])): path.read_bytes() for path in folders[0].rglob("*") if path.is_file()}


CHOICES = {
    "plain": {},
    "without duplicates": {"corpus": CorpusConfig("upload", "stories", content_hash="tests", deduplicate=True)},
    "one document": {"packing": "one_document"},
    "built-in": {"corpus": CorpusConfig("builtin", "builtin")},
}


def with_interruptions(wanted: ExperimentConfig, path: Path, cache: Path, every: int) -> int:
    """Prepares the windows in attempts that are closed after `every` records; returns how many it took."""
    attempts = 1
    work = prepare_windows(wanted, tiny(), path, cache)
    while len(list(itertools.islice(work, every))) == every:
        work.close()
        attempts += 1
        work = prepare_windows(wanted, tiny(), path, cache)
    return attempts


@pytest.mark.parametrize("choice", CHOICES)
def test_interrupted_preparation_ends_in_the_same_files(tokenizer: TextTokenizer, tmp_path: Path, choice: str) -> None:
    path, wanted = stories(tmp_path), config(**CHOICES[choice])
    finish(prepare_windows(wanted, tokenizer, path, tmp_path / "whole"))
    whole = files_of(tmp_path / "whole")
    for every in (1, 2, 5):
        assert with_interruptions(wanted, path, tmp_path / f"stopped-{every}", every) > 1
        assert files_of(tmp_path / f"stopped-{every}") == whole
    assert set(whole) >= {"windows.json", "training/tokens.npy", "held_out/special.npy"}
    assert not {"state.json", "seen.sqlite3", "lock"} & set(whole)


def test_size_of_the_batches_changes_nothing(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, wanted = stories(tmp_path), config(**CHOICES["without duplicates"])
    finish(prepare_windows(wanted, tokenizer, path, tmp_path / "small"))
    monkeypatch.setattr(window_making, "BATCH_CHARACTERS", 10**6)
    finish(prepare_windows(wanted, tokenizer, path, tmp_path / "large"))
    assert files_of(tmp_path / "small") == files_of(tmp_path / "large")


def test_book_that_gives_its_last_windows_can_be_interrupted_too(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("The dog sat on the mat, and the sun was warm.\n" * 60)
    wanted = config()
    whole = finish(prepare_windows(wanted, tokenizer, path, tmp_path / "whole"))
    assert whole.split == "window"
    assert with_interruptions(wanted, path, tmp_path / "stopped", 1) > 2
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")


KILLED = """
import sys
from pathlib import Path
from experiments.engine import window_making
from experiments.engine.corpus import prepare_windows
from tests.engine.test_window_making import CHOICES, config, tiny
window_making.BATCH_CHARACTERS, window_making.SAVE_SECONDS = 700, 0.0
folder = Path(sys.argv[1])
for progress in prepare_windows(config(**CHOICES["without duplicates"]), tiny(), folder / "stories.jsonl", folder / "killed"):
    print(progress.tokens, flush=True)
"""  # noqa: E501 - a program


def test_killed_preparation_ends_in_the_same_files(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    path, wanted = stories(tmp_path), config(**CHOICES["without duplicates"])
    finish(prepare_windows(wanted, tokenizer, path, tmp_path / "whole"))
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = list(itertools.islice(process.stdout, 8))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    rest = prepare_windows(wanted, tokenizer, path, tmp_path / "killed")
    assert next(rest).tokens >= int(told[-1])
    finish(rest)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_second_process_waits_and_takes_what_the_first_made(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "LOOK_AGAIN_SECONDS", 0.0)
    path = stories(tmp_path)
    first = prepare_windows(config(), tokenizer, path, tmp_path / "cache")
    next(first)
    second = prepare_windows(config(), tokenizer, path, tmp_path / "cache")
    assert "another worker" in next(second).note
    finish(first)
    read = finish(second)
    assert read.training.text_tokens >= 6_000
    assert len(files_of(tmp_path / "cache")) == 7


def test_claim_ends_with_its_holder_and_not_before(tmp_path: Path) -> None:
    folder = tmp_path / "claimed"
    answers: list[bool] = []

    def ask() -> None:
        with claimed(folder) as mine:
            answers.append(mine)

    with claimed(folder) as mine:
        other = threading.Thread(target=ask)
        other.start()
        other.join()
    ask()
    assert (mine, answers) == (True, [False, True])
