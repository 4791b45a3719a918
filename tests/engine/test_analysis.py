"""A prompt read through a tiny model and a small SAE, against the same numbers taken by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.engine.analysis import PromptError, PromptLens
from experiments.engine.artifacts import ArtifactError, ExperimentFolder
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, Place
from experiments.engine.kernels import Weights
from experiments.engine.sae import Sae, SaeDescription, save_sae
from tests.engine.tiny_models import CONTEXT, WIDTH, save_tiny_model

FEATURES, K, LAYER = 40, 6, 1
PROMPT = "The dog and the cat sat on the mat."


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    made = ExperimentFolder(tmp_path_factory.mktemp("experiment"))
    random = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH, generator=random), dim=1)
    weights = Weights(decoder.clone(), torch.full((FEATURES,), -1.0), decoder, torch.zeros(WIDTH))
    save_sae(Sae(weights, SaeDescription("topk", FEATURES, WIDTH, K, "local:tiny", LAYER, "resid_post", 1e9)), made)
    return made


@pytest.fixture(scope="module")
def lens(folder: ExperimentFolder, model_path: Path) -> PromptLens:
    return load(folder, model_path)


def load(folder: ExperimentFolder, model_path: Path) -> PromptLens:
    config = ExperimentConfig(ModelConfig("local", "tiny"), CorpusConfig("builtin", "builtin"), LAYER)
    return PromptLens.load(folder, config, model_path=str(model_path))


def test_every_token_has_its_strongest_features(lens: PromptLens) -> None:
    reading = lens.read(PROMPT, top_k=3)
    assert "".join(token.text for token in reading.tokens[1:-1]) == " the dog and the cat sat on the mat."
    assert [token.position for token in reading.tokens] == list(range(12))
    model, sae = lens._model, lens._sae
    ids = model.tokenizer.encode([PROMPT])[0].tolist()
    states = model.hidden_states(torch.tensor([[2, *ids, 3]]), [Place(LAYER, "resid_post")])[0][0]
    before = states @ sae.weights.encoder.T + sae.weights.encoder_bias
    for token, row, state in zip(reading.tokens[1:-1], before[1:-1], states[1:-1], strict=True):
        kept = row.relu().topk(K)
        firing = int((kept.values > 0).sum())
        shown = min(3, firing)
        assert token.active_count == firing
        assert [feature.index for feature in token.features] == kept.indices[:shown].tolist()
        assert [feature.activation for feature in token.features] == pytest.approx(kept.values[:shown].tolist())
        rebuilt = kept.values @ sae.weights.decoder[kept.indices]
        assert token.relative_error == pytest.approx(float((state - rebuilt).norm() / state.norm()), rel=1e-4)


def test_special_tokens_are_shown_and_not_read(lens: PromptLens) -> None:
    first, *_, last = lens.read(PROMPT).tokens
    assert (first.text, last.text) == ("[CLS]", "[SEP]")
    for token in (first, last):
        assert (token.special, token.features, token.active_count, token.relative_error) == (True, (), 0, None)


def test_no_more_features_than_fire(lens: PromptLens) -> None:
    for token in lens.read(PROMPT, top_k=1_000).tokens:
        assert len(token.features) == token.active_count <= K
        assert all(feature.activation > 0 for feature in token.features)


def test_prompt_that_spells_a_special_token_is_read_as_text(lens: PromptLens) -> None:
    tokens = lens.read("[SEP]").tokens
    assert [token.special for token in tokens] == [True, *[False] * (len(tokens) - 2), True]
    assert [token.text for token in tokens].count("[SEP]") == 1


def test_prompt_of_just_the_longest_length_is_read(lens: PromptLens) -> None:
    assert len(lens.read("dog " * (CONTEXT - 2)).tokens) == CONTEXT
    with pytest.raises(PromptError, match=f"has {CONTEXT + 1} tokens and the model reads at most {CONTEXT}"):
        lens.read("dog " * (CONTEXT - 1))


@pytest.mark.parametrize(
    ("text", "sentence"), [("", "is empty"), (" \n\t", "is empty"), ("a\ud800", "half of a surrogate pair")]
)
def test_prompt_that_cannot_be_read_gets_a_sentence(lens: PromptLens, text: str, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        lens.read(text)


def test_prompt_that_the_vocabulary_drops_gets_a_sentence(lens: PromptLens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lens._model.tokenizer, "encode", lambda _: [np.empty(0, np.int32)])
    with pytest.raises(PromptError, match="no token for any part"):
        lens.read("☃")


def test_lenses_on_one_model_share_it(lens: PromptLens, folder: ExperimentFolder, model_path: Path) -> None:
    other = load(folder, model_path)
    assert other._model is lens._model
    assert other.memory_bytes == lens.memory_bytes > lens._model.memory_bytes


def test_experiment_without_weights_is_refused(tmp_path: Path, model_path: Path) -> None:
    with pytest.raises(ArtifactError):
        load(ExperimentFolder(tmp_path), model_path)
