"""What a worker finds out about a hub model for the Layer Explorer; and the whole way online, to a local hub."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from experiments.engine.config import ExperimentConfig, ModelConfig
from experiments.engine.model_card import ModelCard
from experiments.hub_descriptions import check_hub_model, describe
from experiments.models import Experiment, HubModel
from experiments.services import corpora
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import store_experiment
from experiments.services.language_models import ask_about, model_card
from experiments.services.queue import enqueue
from latentlens.lib.problems import Refused
from tests.experiments.conftest import SMALL
from tests.hub.conftest import hub  # noqa: F401 - a fixture
from tests.hub.loopback_hub import LoopbackHub
from tests.worker_processes import start_worker, wait_until

HUB_MODEL = ModelConfig("hub", "org/name")
CARD = ModelCard("org/name", "llama", 2, 8, 64, 99, 1_000, 4_000, "causal")


@pytest.fixture
def engine_hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Takes the place of `experiments.engine.hub`: `answer` is returned, or raised."""
    known = SimpleNamespace(answer=SimpleNamespace(commit="abc123", card=CARD), asked=[])

    def describe_model(hub_id: str, revision: str | None) -> Any:
        known.asked.append((hub_id, revision))
        if isinstance(known.answer, Exception):
            raise known.answer
        return known.answer

    module = ModuleType("experiments.engine.hub")
    module.describe_model = describe_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "experiments.engine.hub", module)
    return known


@pytest.mark.django_db
def test_a_description_is_kept_with_its_commit(engine_hub: SimpleNamespace) -> None:
    asked = HubModel.objects.create(hub_id="org/name", revision="v1")
    describe(asked.pk)
    asked.refresh_from_db()
    assert (asked.commit, asked.error) == ("abc123", "")
    assert model_card(ModelConfig("hub", "org/name", "v1")) == CARD
    assert engine_hub.asked == [("org/name", "v1")]


@pytest.mark.django_db
def test_what_goes_wrong_is_a_sentence_and_may_be_asked_again(
    engine_hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_hub.answer = KeyError("/secret")
    asked = ask_about(HUB_MODEL)
    describe(asked.pk)
    with pytest.raises(Refused, match="Something unexpected") as caught:
        model_card(HUB_MODEL)
    assert "secret" not in caught.value.message
    monkeypatch.setattr("experiments.services.language_models.ANSWER_PATIENCE", asked.asked_at - asked.asked_at)
    assert ask_about(HUB_MODEL).error == ""
    assert model_card(HUB_MODEL) is None


@pytest.mark.django_db
def test_a_forgotten_question_needs_no_answer(engine_hub: SimpleNamespace) -> None:
    describe(77)
    assert engine_hub.asked == []


@pytest.mark.django_db
def test_an_experiment_is_judged_before_weights_are_fetched(
    engine_hub: SimpleNamespace, make_experiment: Callable[..., Experiment]
) -> None:
    config = make_experiment(model="hub:org/name", layer=9).config
    with pytest.raises(Refused, match="layers 0 to 1"):
        check_hub_model(ExperimentConfig.from_json(config))


@pytest.fixture
def online_worker(
    hub: LoopbackHub,  # noqa: F811 - the fixture
    child_environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[None]:
    environment = child_environment | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub-cache")}
    worker = start_worker(environment, tmp_path / "online.log", queues="experiments,lens")
    yield
    worker.kill_all()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_model_and_a_data_set_from_the_hub(
    data_dir: Path,
    hub: LoopbackHub,  # noqa: F811 - the fixture
    online_worker: None,
) -> None:
    tales = hub.root / "datasets" / "tiny" / "tales" / "data"
    tales.mkdir(parents=True)
    rows = (
        f'{{"text": "Tale {number}: the cat saw {number % 31} birds and slept all day."}}\n' for number in range(600)
    )
    (tales / "train.jsonl").write_text("".join(rows))
    asked = ask_about(ModelConfig("hub", "tiny/stories"))
    wait_until(lambda: HubModel.objects.get(pk=asked.pk).answered_at, seconds=120, what="a description")
    card = model_card(ModelConfig("hub", "tiny/stories"))
    assert card is not None
    assert not [request for request in hub.requests if "model.safetensors" in request and "resolve" in request]

    corpus = corpora.add_hub_corpus("tiny/tales")
    wanted = SMALL | {"model": "hub:tiny/stories", "corpus": corpus.pk, "training_tokens": 4_096, "context_length": 16}
    experiment = store_experiment(ExperimentRequest(**wanted), Experiment.Status.QUEUED)
    Experiment.objects.update(config=experiment.config | {"evaluation_tokens": 512, "harvest_tokens": 512})
    enqueue(experiment.pk)
    wait_until(lambda: not Experiment.objects.get().is_live, seconds=180, what="the end of the experiment")
    experiment.refresh_from_db()
    assert (experiment.status, experiment.error) == (Experiment.Status.FINISHED, "")
    assert experiment.model_revision == hub.commit(hub.root / "models" / "tiny" / "stories")
