"""From text to catalogue through the real engine: what is shown is what the SAE computes."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig
from experiments.engine.job import Job
from experiments.engine.model_loading import load_language_model
from experiments.engine.pipeline import run
from experiments.engine.sae import load_sae
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, Context
from features.models import Feature
from features.services.catalogue import import_catalogue
from tests.engine.tiny_models import TEXT, save_tiny_model
from tests.features.conftest import new_experiment

FEATURES, K, WINDOW = 48, 4, 32
CONFIG = ExperimentConfig(
    model=ModelConfig("local", "tiny"),
    corpus=CorpusConfig("upload", "text.txt"),
    layer=1,
    sae=SaeConfig(n_features=FEATURES, k=K),
    training=TrainingConfig(tokens=4_096, batch_tokens=256, segment_tokens=2_048),
    context_length=WINDOW,
    evaluation_tokens=500,
    harvest_tokens=2_000,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "tiny", "gpt2")


@pytest.fixture
def folder(db: None, data_dir: Path, tmp_path: Path, model: Path) -> ExperimentFolder:
    """The folder of an experiment that the engine has just finished."""
    torch.set_num_threads(1)
    experiment = new_experiment()
    corpus = tmp_path / "text.txt"
    corpus.write_text("\n\n".join(f"{number}. {TEXT[number % len(TEXT)]}" for number in range(300)))
    folder = experiment_folder(experiment.pk)
    for _ in run(Job(CONFIG, folder.path, str(model), corpus, tmp_path / "cache", "cpu", 1)):
        pass
    import_catalogue(experiment.pk)
    return folder


def test_the_catalogue_agrees_with_the_sae(folder: ExperimentFolder, model: Path) -> None:
    features = {feature.index: feature for feature in Feature.objects.all()}
    assert set(features) == set(range(FEATURES))
    tokens = features[0].tokens
    assert tokens >= CONFIG.harvest_tokens
    assert sum(feature.firings for feature in features.values()) <= tokens * K
    assert_examples_are_complete(folder, features)
    assert_activations_are_those_of_the_sae(folder, model, max(features.values(), key=lambda found: found.firings))


def assert_examples_are_complete(folder: ExperimentFolder, features: dict[int, Feature]) -> None:
    index = ActivationIndex(folder)
    for feature in features.values():
        page = index.examples(feature.index, count=10_000, one_per_document=False)
        assert page.total == len(page.items) == feature.firings
        assert len({example.document for example in page.items}) == feature.documents
        if page.items:
            assert page.items[0].activation == pytest.approx(feature.max_activation)
            assert feature.card["examples"][0]["position"] == page.items[0].position


def assert_activations_are_those_of_the_sae(folder: ExperimentFolder, model: Path, feature: Feature) -> None:
    """Reads the window of the best example again and compares the feature on every token that the example shows."""
    best = ActivationIndex(folder).examples(feature.index, count=1, context=Context(WINDOW, WINDOW)).items[0]
    window = best.position // WINDOW
    rows = pq.read_table(folder.tokens).filter(pc.field("window") == window)
    tokens = torch.tensor(rows["token"].to_pylist())[None]
    states = load_language_model(model).hidden_states(tokens, [CONFIG.place])[0][0]
    code = load_sae(folder, "cpu").encode(states)
    features, rows_of, activations = code.to_numpy()
    fired = dict(zip(rows_of[features == feature.index].tolist(), activations[features == feature.index], strict=True))
    for token in best.tokens:
        assert token.activation == pytest.approx(fired.get(token.position - window * WINDOW, 0.0), rel=1e-4), token
