"""What the index says of every token is what the SAE computes, to the last bit of a float32, for every architecture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.capture import capture_batches
from experiments.engine.config import ARCHITECTURES
from experiments.engine.corpus import TextRead, WindowSet
from experiments.engine.harvest import harvest
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_loading import load_language_model
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.windows import Windows
from features.activation_index import ActivationIndex, Context
from tests.engine.random_sae import random_states, random_weights
from tests.engine.tiny_models import save_tiny_model

FEATURES, CONTEXT, WINDOWS = 40, 16, 30
KINDS = [*ARCHITECTURES, "transcoder"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    torch.set_num_threads(1)
    return load_language_model(save_tiny_model(tmp_path_factory.mktemp("tiny"), "llama"))


def random_sae(kind: str, width: int) -> Sae:
    """An SAE with random weights that fires on a tenth of what it could."""
    weights = random_weights(width, FEATURES, seed=3, dtype=torch.float32)
    some = random_states(2, FEATURES, seed=9, dtype=torch.float32)
    extra: dict[str, Any] = {
        "jumprelu": {"threshold": some[0].abs() + 0.5},
        "batchtopk": {"threshold": torch.full((FEATURES,), 0.5)},
        "matryoshka": {"threshold": torch.full((FEATURES,), 0.5)},
        "gated": {"magnitude_log_scale": 0.2 * some[0], "magnitude_bias": 0.1 * some[1]},
    }
    architecture, output = ("topk", "mlp_out") if kind == "transcoder" else (kind, None)
    weights = Weights(**weights._asdict() | extra.get(kind, {}))
    about = SaeDescription(
        architecture, FEATURES, width, 4, "local:tiny", 1, "resid_post", norm_limit=1e9, output_site=output
    )
    return Sae(weights, about)


def random_text(model: LanguageModel) -> WindowSet:
    random = np.random.default_rng(5)
    tokens = random.integers(5, model.vocabulary_size, (WINDOWS, CONTEXT)).astype(np.int32)
    special = np.zeros(tokens.shape, bool)
    special[:, 0] = True
    documents = (np.arange(tokens.size, dtype=np.int32) // 37).reshape(tokens.shape)
    text = Windows(tokens, documents, special)
    return WindowSet(text, text, "document", (), (), TextRead(1, 1, 0, 0, 0), key="random")


def finished(work: Generator[Any, None, dict[str, Any]]) -> dict[str, Any]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_the_activation_that_the_sae_computes(
    kind: str, model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.engine.activation_spill.PART_TOKENS", 100)
    folder, text = ExperimentFolder(tmp_path), random_text(model)
    sae = random_sae(kind, model.card.width)
    save_sae(sae, folder)
    harvested = finished(harvest(model, sae, text, 10**6, folder))
    expected: dict[int, dict[int, float]] = defaultdict(dict)
    for (batch,) in capture_batches(model, text.training, [sae.reading()]):
        features, rows, activations = sae.encode(batch.states).to_numpy()
        entries = zip(features.tolist(), batch.positions[rows].tolist(), activations.tolist(), strict=True)
        for feature, position, activation in entries:
            expected[feature][position] = activation
    assert sum(map(len, expected.values())) == harvested["activations"] > 200
    index = ActivationIndex(folder)
    for feature in range(FEATURES):
        page = index.examples(feature, count=10**6, one_per_document=False, context=Context(CONTEXT, CONTEXT))
        assert {example.position: example.activation for example in page.items} == expected[feature]
        for token in (token for example in page.items for token in example.tokens):
            assert token.activation == expected[feature].get(token.position, 0.0)
