"""A finished experiment whose features come from the synthetic index."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.engine.artifacts import ExperimentFolder
from experiments.models import Corpus, Experiment
from experiments.services.folders import experiment_folder
from features.models import Feature, FeatureMap
from features.services.catalogue import import_catalogue
from features.services.feature_map.positions import write_positions
from tests.features import synthetic_index as synthetic
from tests.features.synthetic_index import SyntheticIndex


@pytest.fixture(scope="session")
def written_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the synthetic index, written once and copied by the tests that need them."""
    folder = ExperimentFolder(tmp_path_factory.mktemp("synthetic"))
    synthetic.write_index(folder)
    return folder.index


@pytest.fixture
def harvested(db: None, data_dir: Path, written_index: Path) -> Experiment:
    """A finished experiment with an activation index and, as yet, no catalogue."""
    experiment = new_experiment()
    shutil.copytree(written_index, experiment_folder(experiment.pk).index)
    return experiment


@pytest.fixture
def experiment(harvested: Experiment) -> Experiment:
    """The same with its catalogue."""
    import_catalogue(harvested.pk)
    return harvested


@pytest.fixture
def mapped(experiment: Experiment) -> Experiment:
    """The same with a map: feature i lies at (1000 i, 1000 (i mod 3))."""
    steps = np.arange(synthetic.FEATURES)
    positions = np.stack([1000 * steps, 1000 * (steps % 3)], axis=1).astype(np.uint16)
    write_positions(experiment_folder(experiment.pk).feature_map("pca"), positions)
    FeatureMap.objects.create(experiment=experiment, status=FeatureMap.Status.FINISHED, variance_shares=[0.25, 0.125])
    return experiment


@pytest.fixture
def weekday(experiment: Experiment) -> Feature:
    return Feature.objects.get(experiment=experiment, index=synthetic.WEEKDAY)


@pytest.fixture(scope="session")
def truth() -> SyntheticIndex:
    return synthetic.synthetic_index()


def new_experiment(status: str = Experiment.Status.FINISHED, name: str = "letters", **columns: object) -> Experiment:
    corpus, _ = Corpus.objects.get_or_create(source=Corpus.Source.BUILTIN, defaults={"name": "Built-in"})
    concept = {"concept": "weekday", "title": "Day of the week"}
    return Experiment.objects.create(
        name=name,
        status=status,
        model="builtin",
        layer=2,
        site="resid_post",
        corpus=corpus,
        architecture="topk",
        n_features=synthetic.FEATURES,
        k=4,
        training_tokens=1000,
        config={},
        quality={"concepts": {"rows": [concept]}},
        **columns,
    )
