"""Which hidden states count: those of text, below ten medians, in the order of the windows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import pytest
import torch

from experiments.engine import capture
from experiments.engine.capture import HiddenStates, capture_batches, capture_segment, windows_per_batch
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_loading import load_language_model
from experiments.engine.windows import DocumentTokens, Windows, WindowWriter, read_windows
from tests.engine.tiny_models import WIDTH, save_tiny_model

CONTEXT = 16
OUTLIER_TOKEN = 150


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    loaded = load_language_model(save_tiny_model(tmp_path_factory.mktemp("model"), "llama"))
    loaded._module.model.embed_tokens.weight.data[OUTLIER_TOKEN] *= 1_000
    return loaded


@pytest.fixture(scope="module")
def windows(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    folder = tmp_path_factory.mktemp("windows")
    random = np.random.default_rng(0)
    with closing(WindowWriter(folder, model.tokenizer.frame, CONTEXT)) as writer:
        for number in range(20):
            tokens = random.integers(10, 140, size=25, dtype=np.int32)
            if number % 5 == 0:
                tokens[20] = OUTLIER_TOKEN
            writer.add(DocumentTokens(number, tokens))
    return read_windows(folder)


def captured(work: Generator[int, None, HiddenStates]) -> tuple[HiddenStates, list[int]]:
    read: list[int] = []
    while True:
        try:
            read.append(next(work))
        except StopIteration as end:
            return end.value, read


def test_states_are_those_of_the_text_at_their_positions(model: LanguageModel, windows: Windows) -> None:
    found, read = captured(capture_segment(model, windows, 1, "resid_pre", norm_limit=torch.inf))
    everything = model.hidden_states(windows.tokens, 1, "resid_pre").reshape(-1, WIDTH)
    assert found.positions.tolist() == np.flatnonzero(~windows.special).tolist()
    torch.testing.assert_close(found.states, everything[found.positions])
    assert read[-1] == windows.text_tokens == len(found.states)


def test_outliers_are_left_out_and_counted(model: LanguageModel, windows: Windows) -> None:
    found, _ = captured(capture_segment(model, windows, 1, "resid_pre"))
    outliers = np.flatnonzero(windows.tokens.ravel() == OUTLIER_TOKEN)
    assert found.outliers_left_out == len(outliers) > 0
    assert not set(outliers) & set(found.positions.tolist())
    everything = model.hidden_states(windows.tokens, 1, "resid_pre").reshape(-1, WIDTH)[~windows.special.ravel()]
    assert found.norm_limit == pytest.approx(10 * float(everything.norm(dim=1).median()))


def test_limit_that_is_given_is_kept_to(model: LanguageModel, windows: Windows) -> None:
    measured, _ = captured(capture_segment(model, windows, 1, "resid_pre"))
    given, _ = captured(capture_segment(model, windows, 1, "resid_pre", measured.norm_limit))
    assert torch.equal(measured.states, given.states)
    assert measured.positions.tolist() == given.positions.tolist()
    assert (measured.outliers_left_out, measured.norm_limit) == (given.outliers_left_out, given.norm_limit)


def test_batches_are_the_segment_in_parts(
    model: LanguageModel, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capture.BATCH_TOKENS, "cpu", 4 * CONTEXT)
    whole, read = captured(capture_segment(model, windows, 1, "mlp_out"))
    parts = list(capture_batches(model, windows, 1, "mlp_out", whole.norm_limit))
    assert len(parts) == len(read) == -(-len(windows) // 4)
    assert torch.equal(torch.cat([part.states for part in parts]), whole.states)
    assert np.array_equal(np.concatenate([part.positions for part in parts]), whole.positions)
    assert sum(part.outliers_left_out for part in parts) == whole.outliers_left_out


def test_batches_that_need_logits_are_smaller_for_large_vocabularies(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert windows_per_batch(model, CONTEXT) == 4_096 // CONTEXT
    monkeypatch.setattr(capture, "LOGIT_BYTES", 4 * model.vocabulary_size * CONTEXT * 3)
    assert windows_per_batch(model, CONTEXT, with_logits=True) == 3
    assert windows_per_batch(model, 100_000) == 1
