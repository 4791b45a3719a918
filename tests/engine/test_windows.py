"""Packing documents into windows: no padding, no text lost but the last, and every special token by position."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.engine.windows import (
    NO_DOCUMENT,
    DocumentTokens,
    DocumentWindowWriter,
    Frame,
    Windows,
    WindowWriter,
    read_windows,
)

CAUSAL = Frame(opening=(1,), between=(1,), closing=())
CAUSAL_WITH_END = Frame(opening=(1,), between=(2, 1), closing=())
ENCODER = Frame(opening=(8,), between=(9,), closing=(9,))
BARE = Frame(opening=(), between=(), closing=())


def packed(folder: Path, frame: Frame, context_length: int, *documents: list[int]) -> Windows:
    with closing(WindowWriter(folder, frame, context_length)) as writer:
        for number, tokens in enumerate(documents):
            writer.add(DocumentTokens(number, np.array(tokens, dtype=np.int32)))
    return read_windows(folder)


def test_documents_meet_in_a_window_with_the_beginning_token_between(tmp_path: Path) -> None:
    windows = packed(tmp_path, CAUSAL, 6, [10, 11], [20, 21, 22, 23, 24, 25])
    assert windows.tokens.tolist() == [[1, 10, 11, 1, 20, 21]]
    assert windows.documents.tolist() == [[0, 0, 0, 1, 1, 1]]
    assert windows.special.tolist() == [[True, False, False, True, False, False]]


def test_document_that_goes_on_in_the_next_window_opens_it_again(tmp_path: Path) -> None:
    windows = packed(tmp_path, CAUSAL, 4, [10, 11, 12, 13, 14, 15])
    assert windows.tokens.tolist() == [[1, 10, 11, 12], [1, 13, 14, 15]]
    assert windows.text_tokens == 6


def test_boundary_at_the_end_of_a_window_is_cut_and_not_doubled(tmp_path: Path) -> None:
    windows = packed(tmp_path, CAUSAL_WITH_END, 4, [10, 11], [20, 21, 22])
    assert windows.tokens.tolist() == [[1, 10, 11, 2], [1, 20, 21, 22]]


def test_document_that_fills_a_window_leaves_no_boundary_behind(tmp_path: Path) -> None:
    windows = packed(tmp_path, CAUSAL_WITH_END, 4, [10, 11, 12], [20, 21, 22])
    assert windows.tokens.tolist() == [[1, 10, 11, 12], [1, 20, 21, 22]]


def test_encoder_windows_close_as_they_open(tmp_path: Path) -> None:
    windows = packed(tmp_path, ENCODER, 7, [10, 11], [20, 21, 22, 23], [30])
    assert windows.tokens.tolist() == [[8, 10, 11, 9, 20, 21, 9]]
    assert windows.special.tolist() == [[True, False, False, True, False, False, True]]


def test_concepts_follow_their_tokens(tmp_path: Path) -> None:
    flags = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1], [0] * 9, [0, 1] + [0] * 7], dtype=bool)
    with closing(WindowWriter(tmp_path, CAUSAL, 3, concept_bytes=2)) as writer:
        writer.add(DocumentTokens(0, np.array([10, 11, 12], np.int32), np.packbits(flags, axis=1)))
        writer.add(DocumentTokens(1, np.array([20], np.int32), np.packbits(flags[:1], axis=1)))
    windows = read_windows(tmp_path)
    assert windows.tokens.tolist() == [[1, 10, 11], [1, 12, 1]]
    carried = windows.concept_flags(9)
    assert carried.shape == (2, 3, 9)
    assert np.argwhere(carried).tolist() == [[0, 1, 0], [0, 1, 8], [1, 1, 1]]
    assert windows[1:].concept_flags(9).tolist() == carried[1:].tolist()


def one_each(folder: Path, frame: Frame, context_length: int, *documents: list[int]) -> Windows:
    with closing(DocumentWindowWriter(folder, frame, context_length)) as writer:
        for number, tokens in enumerate(documents):
            writer.add(DocumentTokens(number, np.array(tokens, dtype=np.int32)))
        assert writer.cut_tokens == max(0, sum(map(len, documents)) - writer.text_tokens)
    return read_windows(folder)


def test_one_document_per_window_is_padded_or_cut(tmp_path: Path) -> None:
    windows = one_each(tmp_path, CAUSAL, 4, [10, 11], [], [20, 21, 22, 23], [30, 31, 32])
    assert windows.tokens.tolist() == [[1, 10, 11, 1], [1, 20, 21, 22], [1, 30, 31, 32]]
    assert windows.documents.tolist() == [[0, 0, 0, NO_DOCUMENT], [2, 2, 2, 2], [3, 3, 3, 3]]
    assert windows.special.tolist() == [[True, False, False, True]] + [[True, False, False, False]] * 2
    mask = windows.attention_mask
    assert mask is not None
    assert mask.tolist() == [[True, True, True, False], [True] * 4, [True] * 4]
    assert windows[1:].attention_mask is None


def test_encoder_window_of_one_document_closes_before_its_padding(tmp_path: Path) -> None:
    windows = one_each(tmp_path, ENCODER, 5, [10], [20, 21, 22, 23])
    assert windows.tokens.tolist() == [[8, 10, 9, 8, 8], [8, 20, 21, 22, 9]]
    assert windows.documents.tolist() == [[0, 0, 0, NO_DOCUMENT, NO_DOCUMENT], [1] * 5]


def test_template_tokens_are_special_where_they_stand(tmp_path: Path) -> None:
    special = np.array([True, False, True])
    with closing(WindowWriter(tmp_path, CAUSAL, 4)) as writer:
        writer.add(DocumentTokens(0, np.array([7, 10, 7], np.int32), special=special))
    windows = read_windows(tmp_path)
    assert windows.special.tolist() == [[True, True, False, True]]
    assert windows.text_tokens == 1


@pytest.mark.parametrize("kind", [WindowWriter, DocumentWindowWriter])
def test_writer_goes_on_where_an_earlier_one_saved(tmp_path: Path, kind: type[WindowWriter]) -> None:
    documents = [DocumentTokens(n, np.arange(100 * n, 100 * n + 7 + n, dtype=np.int32)) for n in range(6)]
    with closing(kind(tmp_path / "whole", CAUSAL, 5)) as whole:
        for document in documents:
            whole.add(document)
    first = kind(tmp_path / "parts", CAUSAL, 5)
    for document in documents[:3]:
        first.add(document)
    state = json.loads(json.dumps(first.save()))
    first.add(documents[4])  # more was written before the process ended, and is cut off
    first.close()
    with closing(kind(tmp_path / "parts", CAUSAL, 5, state=state)) as second:
        for document in documents[3:]:
            second.add(document)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()
    assert (second.windows, second.text_tokens, second.cut_tokens) == (
        whole.windows,
        whole.text_tokens,
        whole.cut_tokens,
    )


def test_corpus_without_planted_concepts_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="built-in corpus"):
        packed(tmp_path, CAUSAL, 3, [10, 11]).concept_flags(1)


def test_window_without_room_for_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no room"):
        WindowWriter(tmp_path, ENCODER, 2)


@given(
    frame=st.sampled_from([CAUSAL, CAUSAL_WITH_END, ENCODER, BARE]),
    lengths=st.lists(st.integers(1, 30), max_size=12),
    context_length=st.integers(3, 11),
)
def test_text_is_kept_in_order_up_to_the_last_full_window(
    tmp_path_factory: pytest.TempPathFactory, frame: Frame, lengths: list[int], context_length: int
) -> None:
    documents = [list(range(100 * number, 100 * number + length)) for number, length in enumerate(lengths, start=1)]
    windows = packed(tmp_path_factory.mktemp("windows"), frame, context_length, *documents)
    text = windows.tokens[~windows.special]
    assert text.tolist() == [token for document in documents for token in document][: len(text)]
    assert (windows.documents[~windows.special] + 1 == text // 100).all()
    assert sum(lengths) - len(text) < context_length
    assert all(tuple(row[: len(frame.opening)]) == frame.opening for row in windows.tokens)
    assert set(windows.tokens[windows.special].tolist()) <= {1, 2, 8, 9}
