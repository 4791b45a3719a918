"""Pieces of work side by side, and little work in one thread: the same results, and the same threads afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.engine import language_model
from experiments.engine.block_list import ModelRefused
from experiments.engine.config import Place
from experiments.engine.model_loading import load_language_model
from experiments.engine.processor_threads import WORK_OF_ONE_THREAD, one_thread_for_little, side_by_side
from tests.engine.tiny_models import save_tiny_model

WINDOWS, LENGTH = 7, 16


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_pieces_are_worked_on_at_once_and_come_in_order() -> None:
    together = threading.Barrier(2, timeout=60)

    def work(piece: int) -> tuple[int, int, bool]:
        together.wait()
        return piece, torch.get_num_threads(), torch.is_grad_enabled()

    assert side_by_side(work, [5, 6, 7, 8]) == [(piece, 1, False) for piece in (5, 6, 7, 8)]
    assert torch.get_num_threads() == 2
    assert torch.is_grad_enabled()


def test_one_piece_has_all_threads() -> None:
    assert side_by_side(lambda piece: (piece, torch.get_num_threads()), [1]) == [(1, 2)]


def test_threads_are_shared_equally_among_pieces() -> None:
    torch.set_num_threads(6)
    assert side_by_side(lambda _: torch.get_num_threads(), [1, 2]) == [3, 3]
    assert torch.get_num_threads() == 6


def test_what_fails_first_in_order_is_raised_once_all_have_ended() -> None:
    ended: list[int] = []

    def work(piece: int) -> None:
        ended.append(piece)
        if piece in (1, 2):
            raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 1"):
        side_by_side(work, [0, 1, 2, 3])
    assert sorted(ended) == [0, 1, 2, 3]


def test_little_work_is_done_by_one_thread() -> None:
    with one_thread_for_little(WORK_OF_ONE_THREAD):
        assert torch.get_num_threads() == 1
    with one_thread_for_little(WORK_OF_ONE_THREAD + 1):
        assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="inside"), one_thread_for_little(1):
        raise ValueError("inside")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_hidden_states_are_the_same_in_any_number_of_threads(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_model(tmp_path / family, family)
    model = load_language_model(tmp_path / family)
    tokens = np.random.default_rng(0).integers(0, model.vocabulary_size, (WINDOWS, LENGTH))
    mask = np.ones((WINDOWS, LENGTH), bool)
    mask[2, 9:] = False
    places = [Place(0, "resid_post"), Place(1, "resid_pre")]
    monkeypatch.setattr(language_model, "TOKENS_PER_FORWARD", 2 * LENGTH)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(model.hidden_states(tokens, places, mask))
    for states in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(states, found[0], strict=True))
    monkeypatch.setattr(language_model, "TOKENS_PER_FORWARD", WINDOWS * LENGTH)
    for states, together in zip(found[0], model.hidden_states(tokens, places, mask), strict=True):
        assert states.shape == (WINDOWS, LENGTH, model.width)
        torch.testing.assert_close(states[mask], together[mask], rtol=1e-4, atol=1e-5)


def test_a_forward_that_fails_leaves_the_model_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_model(tmp_path / "tiny", "gpt2")
    model = load_language_model(tmp_path / "tiny")
    monkeypatch.setattr(language_model, "TOKENS_PER_FORWARD", LENGTH)
    tokens = np.zeros((3, LENGTH), np.int64)
    expected = model.hidden_states(tokens, [Place(1, "resid_post")])
    with pytest.raises(ModelRefused):
        model.hidden_states(tokens, [Place(99, "resid_post")])
    tokens[2] = model.vocabulary_size + 5
    with pytest.raises(IndexError):
        model.hidden_states(tokens, [Place(1, "resid_post")])
    tokens[2] = 0
    assert torch.equal(model.hidden_states(tokens, [Place(1, "resid_post")])[0], expected[0])
