"""A finished experiment on a tiny model with random weights, as it lies on the disk of a real installation."""

from __future__ import annotations

from pathlib import Path

import torch
from django.conf import settings

from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, as_json
from experiments.engine.kernels import Weights
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from tests.engine.tiny_models import CONTEXT, WIDTH, save_tiny_model
from tests.lens.conftest import make_experiment

__all__ = ["CONTEXT", "FEATURES", "K", "make_real_experiment"]
FEATURES, K = 96, 6


def make_real_experiment(name: str = "tiny", family: str = "gpt2", seed: int = 0) -> Experiment:
    """An experiment that the real lens can load: model below MODELS_DIR, SAE in the artifacts."""
    folder = Path(settings.MODELS_DIR) / family
    if not folder.exists():
        save_tiny_model(folder, family)
    config = ExperimentConfig(
        model=ModelConfig("local", family),
        corpus=CorpusConfig("builtin", "builtin"),
        layer=1,
        sae=SaeConfig(n_features=FEATURES, k=K),
        context_length=CONTEXT,
    )
    experiment = make_experiment(name=name)
    Experiment.objects.filter(pk=experiment.pk).update(config=as_json(config), model=config.model.canonical, layer=1)
    experiment.refresh_from_db()
    description = SaeDescription("topk", FEATURES, WIDTH, K, config.model.canonical, 1, config.site, norm_limit=1e9)
    save_sae(Sae(_random_weights(seed), description), experiment_folder(experiment.pk))
    return experiment


def _random_weights(seed: int) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH, generator=generator), dim=1)
    return Weights(decoder.clone(), torch.zeros(FEATURES), decoder, torch.zeros(WIDTH))
