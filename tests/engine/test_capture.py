"""Which hidden states count: those of text, below ten medians, in the order of the windows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.engine import capture
from experiments.engine.capture import HiddenStates, Reading, capture_batches, capture_segment, windows_per_batch
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, Place, TrainingConfig
from experiments.engine.corpus_source import CorpusCapture
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_loading import load_language_model
from experiments.engine.windows import DocumentTokens, DocumentWindowWriter, Windows, WindowWriter, read_windows
from tests.engine.tiny_models import save_tiny_model

CONTEXT = 16
OUTLIER_TOKEN = 150
BEFORE, MLP = Place(1, "resid_pre"), Place(1, "mlp_out")


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


def captured(model: LanguageModel, windows: Windows, *readings: Reading) -> tuple[list[HiddenStates], list[int]]:
    """A segment as every reading has it, and the tokens read after every batch."""
    work, read = capture_segment(model, windows, readings), []
    while True:
        try:
            read.append(next(work))
        except StopIteration as end:
            return list(end.value), read


def everything_at(model: LanguageModel, windows: Windows, place: Place) -> Tensor:
    """The hidden states of all tokens, special ones too: [tokens, width]."""
    return model.hidden_states(windows.tokens, [place])[0].flatten(0, 1)


def test_states_are_those_of_the_text_at_their_positions(model: LanguageModel, windows: Windows) -> None:
    (found,), read = captured(model, windows, Reading(BEFORE, norm_limit=torch.inf))
    everything = everything_at(model, windows, BEFORE)
    assert found.positions.tolist() == np.flatnonzero(~windows.special).tolist()
    torch.testing.assert_close(found.states, everything[found.positions])
    assert read[-1] == windows.text_tokens == len(found.states)


@pytest.mark.parametrize("family", ["gpt2", "bert"])  # one id for begin, end and padding; and reading both ways
def test_documents_in_windows_of_their_own_are_read_as_if_alone(tmp_path: Path, family: str) -> None:
    alone = load_language_model(save_tiny_model(tmp_path / "model", family))
    documents = [np.arange(10, 10 + length, dtype=np.int32) for length in (3, 40, 9)]
    with closing(DocumentWindowWriter(tmp_path / "windows", alone.tokenizer.frame, CONTEXT)) as writer:
        for number, tokens in enumerate(documents):
            writer.add(DocumentTokens(number, tokens))
    windows = read_windows(tmp_path / "windows")
    (found,), _ = captured(alone, windows, Reading(Place(1, "resid_post"), norm_limit=torch.inf))
    frame = alone.tokenizer.frame
    room = CONTEXT - len(frame.opening) - len(frame.closing)
    assert len(found.states) == 3 + room + 9
    start = 0
    for number, tokens in enumerate(documents):
        text = tokens[:room]
        window = np.array([*frame.opening, *text, *frame.closing])[None]
        (states,) = alone.hidden_states(window, [Place(1, "resid_post")])
        expected = states[0, len(frame.opening) :][: len(text)]
        torch.testing.assert_close(found.states[start : start + len(text)], expected)
        assert found.positions[start] == number * CONTEXT + len(frame.opening)
        start += len(text)


def test_outliers_are_left_out_and_counted(model: LanguageModel, windows: Windows) -> None:
    (found,), _ = captured(model, windows, Reading(BEFORE))
    outliers = np.flatnonzero(windows.tokens.ravel() == OUTLIER_TOKEN)
    assert found.outliers_left_out == len(outliers) > 0
    assert not set(outliers) & set(found.positions.tolist())
    everything = everything_at(model, windows, BEFORE)
    assert torch.equal(found.states, everything[found.positions])
    text = everything[torch.from_numpy(~windows.special.ravel())]
    assert found.norm_limit == pytest.approx(10 * float(text.norm(dim=1).median()))


def test_limit_that_is_given_is_kept_to(model: LanguageModel, windows: Windows) -> None:
    (measured,), _ = captured(model, windows, Reading(BEFORE))
    (given,), _ = captured(model, windows, Reading(BEFORE, norm_limit=measured.norm_limit))
    assert torch.equal(measured.states, given.states)
    assert measured.positions.tolist() == given.positions.tolist()
    assert (measured.outliers_left_out, measured.norm_limit) == (given.outliers_left_out, given.norm_limit)


def test_batches_are_the_segment_in_parts(
    model: LanguageModel, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capture.BATCH_TOKENS, "cpu", 4 * CONTEXT)
    (whole,), read = captured(model, windows, Reading(MLP))
    parts = [part for (part,) in capture_batches(model, windows, [Reading(MLP, norm_limit=whole.norm_limit)])]
    assert len(parts) == len(read) == -(-len(windows) // 4)
    assert torch.equal(torch.cat([part.states for part in parts]), whole.states)
    assert np.array_equal(np.concatenate([part.positions for part in parts]), whole.positions)
    assert sum(part.outliers_left_out for part in parts) == whole.outliers_left_out


@pytest.mark.parametrize("limit", [None, 40.0])
def test_every_reading_of_one_pass_is_what_it_is_alone(
    model: LanguageModel, windows: Windows, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> None:
    monkeypatch.setattr(capture, "ROWS_AT_ONCE", 7)  # a segment's outliers are taken out in many steps
    readings = [Reading(place, norm_limit=limit) for place in (MLP, BEFORE, Place(0, "attn_out"))]
    together, read = captured(model, windows, *readings)
    assert read[-1] == windows.text_tokens
    for reading, found in zip(readings, together, strict=True):
        (alone,), _ = captured(model, windows, reading)
        assert torch.equal(found.states, alone.states)
        assert found.positions.tolist() == alone.positions.tolist()
        assert (found.norm_limit, found.outliers_left_out) == (alone.norm_limit, alone.outliers_left_out)
    assert len({found.outliers_left_out for found in together}) > 1  # each place has outliers of its own


@pytest.mark.parametrize("limit", [None, 40.0])
def test_further_places_are_read_at_the_tokens_that_the_first_one_keeps(
    model: LanguageModel, windows: Windows, limit: float | None
) -> None:
    after = Place(1, "resid_post")
    (found,), _ = captured(model, windows, Reading(BEFORE, (MLP, after), norm_limit=limit))
    assert found.outliers_left_out > 0
    for place, states in zip((BEFORE, MLP, after), (found.states, *found.further), strict=True):
        assert torch.equal(states, everything_at(model, windows, place)[found.positions])


def test_sources_of_one_capture_read_every_segment_once(
    model: LanguageModel, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwards: list[list[Place]] = []
    hidden_states = LanguageModel.hidden_states

    def counted(model: LanguageModel, tokens: Any, places: list[Place], mask: Any = None) -> list[Tensor]:
        forwards.append(places)
        return hidden_states(model, tokens, places, mask)

    monkeypatch.setattr(LanguageModel, "hidden_states", counted)
    config = ExperimentConfig(
        ModelConfig("local", "tiny"), CorpusConfig("upload", "text"), layer=1, context_length=CONTEXT,
        training=TrainingConfig(segment_tokens=len(windows) // 2 * CONTEXT),
    )  # fmt: skip
    shared = CorpusCapture(config, model, windows, [Reading(BEFORE), Reading(MLP, (BEFORE,)), Reading(BEFORE)])
    first, transcoder, third = shared.sources
    limits = set()
    for segment in range(first.segments):
        forwards.clear()
        read = [list(source.capture(segment)) for source in (first, transcoder, third)]
        assert read == [[first.text_tokens(segment)], [], []]
        assert forwards == [[BEFORE, MLP]]
        assert first.hidden_states is third.hidden_states
        assert len(transcoder.further[0]) == len(transcoder.hidden_states)
        limits.add((first.norm_limit, transcoder.norm_limit, third.norm_limit))
    ((of_first, of_transcoder, of_third),) = limits  # the first segment set them for all
    assert of_first == of_third != of_transcoder


def test_batches_that_need_logits_are_smaller_for_large_vocabularies(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert windows_per_batch(model, CONTEXT) == 4_096 // CONTEXT
    monkeypatch.setattr(capture, "LOGIT_BYTES", 4 * model.vocabulary_size * CONTEXT * 3)
    assert windows_per_batch(model, CONTEXT, with_logits=True) == 3
    assert windows_per_batch(model, 100_000) == 1
