"""A finished experiment with labelled features, and a lens that no model has to be loaded for."""

from __future__ import annotations

import pytest

from experiments.models import Corpus, Experiment
from experiments.services.workers import record_heartbeat
from features.models import Feature, Label
from lens import runner
from lens.models import Analysis
from lens.resident import ResidentLenses
from lens.tasks import read_prompt
from tests.lens.fake_lens import FakeLens


def make_experiment(status: str = Experiment.Status.FINISHED, name: str = "builtin, layer 2") -> Experiment:
    corpus, _ = Corpus.objects.get_or_create(source=Corpus.Source.BUILTIN, defaults={"name": "Built-in corpus"})
    return Experiment.objects.create(
        name=name,
        model="builtin",
        layer=2,
        site="resid_post",
        corpus=corpus,
        architecture="topk",
        n_features=64,
        k=8,
        training_tokens=100_000,
        config={},
        status=status,
    )


def make_feature(experiment: Experiment, index: int, label: str = "", max_activation: float = 12.0) -> Feature:
    feature = Feature.objects.create(
        experiment=experiment,
        index=index,
        tokens=1000,
        firings=10,
        documents=5,
        density=0.01,
        max_activation=max_activation,
        mean_activation=4.0,
        card={"tokens": [], "examples": []},
        summary={},
    )
    if label:
        Label.objects.create(feature=feature, experiment=feature.experiment, text=label)
    return feature


@pytest.fixture
def experiment(db: None) -> Experiment:
    """Finished, with feature 3 labelled “names”; feature 7 is not in the catalogue."""
    experiment = make_experiment()
    make_feature(experiment, 3, label="names")
    return experiment


@pytest.fixture
def fake_lens(monkeypatch: pytest.MonkeyPatch) -> FakeLens:
    """The runner reads with this lens, whatever the experiment."""
    lens = FakeLens()
    resident = ResidentLenses(lambda _: lens, budget=10_000)
    monkeypatch.setattr(runner, "_resident", lambda: resident)
    return lens


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The analyses that workers were told of; nobody reads them."""
    messages: list[str] = []
    monkeypatch.setattr(read_prompt, "apply_async", lambda args, **_: messages.append(args[0]))
    return messages


@pytest.fixture
def lens_worker(transactional_db: None, fake_lens: FakeLens, monkeypatch: pytest.MonkeyPatch) -> FakeLens:
    """A worker that answers at once: it is said to be alive, and reads within the call that tells it."""
    record_heartbeat("fake", ["lens"])
    monkeypatch.setattr(read_prompt, "apply_async", lambda args, **_: runner.read(args[0]))
    return fake_lens


def read_now(experiment: Experiment, text: str, top_k: int = 64) -> Analysis:
    """An answered analysis, without a broker. Needs `fake_lens`."""
    analysis = Analysis.objects.create(experiment=experiment, text=text, top_k=top_k)
    runner.read(analysis.pk)
    analysis.refresh_from_db()
    return analysis
