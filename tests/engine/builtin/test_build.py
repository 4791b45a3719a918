"""Building a very small model the way the one that ships is built."""

import hashlib
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from experiments.engine.builtin.build import BuildSettings, BuildStep, build

TINY = BuildSettings(
    vocabulary=400, word_pieces=300, width=16, layers=1, heads=2, mlp_width=32, window=32, batch_windows=4,
    tokens=32 * 4 * 30, corpus_documents=60, vocabulary_documents=60, held_out_documents=20, measure_every=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[BuildStep]]:
    return _built(tmp_path_factory.mktemp("model"))


def _built(folder: Path) -> tuple[Path, list[BuildStep]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return folder, list(build(TINY, folder, "cpu", processes=1))
    finally:
        torch.set_num_threads(threads)


def test_the_loss_falls(built: tuple[Path, list[BuildStep]]) -> None:
    steps = built[1]
    assert [step.step for step in steps] == [10, 20, 30]
    assert steps[-1].loss < steps[0].loss


def test_the_folder_is_a_complete_model(built: tuple[Path, list[BuildStep]]) -> None:
    folder = built[0]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) == 400
    assert (folder / "training.json").exists()


def test_the_seed_fixes_the_weights(built: tuple[Path, list[BuildStep]], tmp_path: Path) -> None:
    again = _built(tmp_path)[0]
    assert _digest(again) == _digest(built[0])


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
