"""From a request to features and a read prompt, for every architecture, on the model that ships.

What is measured, catalogued and shown must not depend on which architecture an experiment has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

import lens.runner
from experiments import runner
from experiments.engine.config import ARCHITECTURES, ExperimentConfig
from experiments.engine.model_loading import load_language_model
from experiments.engine.sae import load_sae
from experiments.models import Experiment, Metric
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import create_experiment
from experiments.services.folders import experiment_folder
from experiments.services.language_models import model_path
from features.activation_index import ActivationIndex, Context
from features.models import Feature
from tests.lens.conftest import read_now

pytestmark = pytest.mark.django_db(transaction=True)
WINDOW = 64
SMALL: dict[str, Any] = {
    "model": "builtin", "layer": 1, "n_features": 96, "k": 6, "training_tokens": 16_384, "batch_tokens": 512,
    "context_length": WINDOW, "segment_tokens": 8_192, "evaluation_tokens": 2_000, "splice_tokens": 512,
    "harvest_tokens": 4_000, "threshold_tokens": 2_000, "learning_rate": 3e-3,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {name: {"architecture": name} for name in ARCHITECTURES} | {
    "transcoder": {"site": "mlp_in", "output_site": "mlp_out", "skip": True}
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing resident from another test, and one thread."""
    lens.runner._resident.cache_clear()
    monkeypatch.setattr(lens.runner, "cpu_threads", lambda: 1)
    monkeypatch.setattr(runner, "cpu_threads", lambda: 1)
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_experiment_ends_in_features_that_are_those_of_the_sae(kind: str, data_dir: Path) -> None:
    experiment = create_experiment(ExperimentRequest(**(SMALL | KINDS[kind])))
    runner.run(experiment.pk)
    experiment.refresh_from_db()
    assert (experiment.error, experiment.status) == ("", Experiment.Status.FINISHED)
    assert Metric.objects.filter(experiment=experiment).exists()
    assert experiment.quality["l0"] > 0
    features = Feature.objects.filter(experiment=experiment)
    assert features.count() == SMALL["n_features"]
    strongest = max(features, key=lambda feature: feature.firings)
    assert_activations_are_those_of_the_sae(experiment, strongest)
    assert_a_prompt_can_be_read(experiment)


def assert_activations_are_those_of_the_sae(experiment: Experiment, feature: Feature) -> None:
    """Reads the window of the best example again and compares the feature on every token that the example shows."""
    config, folder = ExperimentConfig.from_json(experiment.config), experiment_folder(experiment.pk)
    best = ActivationIndex(folder).examples(feature.index, count=1, context=Context(WINDOW, WINDOW)).items[0]
    window = best.position // WINDOW
    rows = pq.read_table(folder.tokens).filter(pc.field("window") == window)
    tokens = torch.tensor(rows["token"].to_pylist())[None]
    states = load_language_model(Path(model_path(config.model))).hidden_states(tokens, [config.place])[0][0]
    code = load_sae(folder, "cpu").encode(states)
    assert max(token.activation for token in best.tokens) == pytest.approx(feature.max_activation)
    read = [token for token in best.tokens if not token.text.startswith("<|")]  # no SAE reads special tokens
    for token in read:
        row = token.position - window * WINDOW
        own = slice(int(code.starts[row]), int(code.starts[row + 1]))
        fired = dict(zip(code.features[own].tolist(), code.activations[own].tolist(), strict=True))
        assert token.activation == pytest.approx(fired.get(feature.index, 0.0), rel=1e-3, abs=1e-5), token


def assert_a_prompt_can_be_read(experiment: Experiment) -> None:
    answered = read_now(experiment, "Anna woke up on Sunday morning and felt happy.", top_k=5)
    assert answered.error == ""
    words = [token for token in answered.result["tokens"] if not token["special"]]
    assert any(token["features"] for token in words)
    assert all(0 <= index < SMALL["n_features"] for token in words for index, _ in token["features"])
