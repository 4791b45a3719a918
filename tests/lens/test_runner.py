"""The runner: a message becomes a stored reading or one sentence, however often it comes."""

from __future__ import annotations

import uuid

import pytest

from experiments.models import Experiment
from lens import runner
from lens.models import Analysis
from lens.resident import ResidentLenses
from lens.runner import MAXIMUM_ATTEMPTS, prepare, read
from tests.lens.conftest import make_experiment, read_now
from tests.lens.fake_lens import EnginePromptError, FakeLens


def test_a_reading_is_stored(experiment: Experiment, fake_lens: FakeLens) -> None:
    answered = read_now(experiment, "Lily sang", top_k=1)
    assert answered.status == "finished"
    assert answered.finished_at is not None
    assert answered.result["tokens"] == [
        {"text": "<s>", "special": True, "active_count": 0, "relative_error": None, "features": []},
        {"text": "Lily", "special": False, "active_count": 2, "relative_error": 0.25, "features": [[3, 11.0]]},
        {"text": " sang", "special": False, "active_count": 1, "relative_error": 0.25, "features": [[7, 2.0]]},
    ]


def test_a_message_that_comes_twice_is_read_once(experiment: Experiment, fake_lens: FakeLens) -> None:
    answered = read_now(experiment, "Lily")
    read(str(answered.pk))
    assert fake_lens.texts == ["Lily"]


def test_a_message_about_a_deleted_analysis_is_forgotten(db: None, fake_lens: FakeLens) -> None:
    read(uuid.uuid4())
    assert fake_lens.texts == []


def test_a_refusal_of_the_engine_is_the_answer(experiment: Experiment, fake_lens: FakeLens) -> None:
    answered = read_now(experiment, "word " * 21)
    assert answered.status == "failed"
    assert answered.error == "The prompt has 21 tokens, but the model reads at most 20."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("/srv/secret/path"), "log of the lens worker"),
        (MemoryError(), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory"),
    ],
)
def test_any_other_failure_becomes_a_sentence_without_details(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(_: Experiment) -> FakeLens:
        raise error

    resident = ResidentLenses(fail, budget=1)
    monkeypatch.setattr(runner, "_resident", lambda: resident)
    answered = read_now(experiment, "Lily")
    assert answered.status == "failed"
    assert words in answered.error
    assert "/srv" not in answered.error


def test_a_prompt_that_stops_the_worker_again_and_again_is_given_up(
    experiment: Experiment, fake_lens: FakeLens
) -> None:
    analysis = Analysis.objects.create(experiment=experiment, text="Lily", attempts=MAXIMUM_ATTEMPTS, status="running")
    read(analysis.pk)
    analysis.refresh_from_db()
    assert (analysis.status, fake_lens.texts) == ("failed", [])


def test_a_prompt_whose_worker_died_is_read_by_the_next(experiment: Experiment, fake_lens: FakeLens) -> None:
    analysis = Analysis.objects.create(experiment=experiment, text="Lily", attempts=1, status="running")
    read(analysis.pk)
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempts) == ("finished", 2)


def test_a_deleted_experiment_leaves_the_memory(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = ResidentLenses(lambda _: FakeLens(), budget=10_000)
    monkeypatch.setattr(runner, "_resident", lambda: resident)
    kept, deleted = make_experiment(name="kept"), make_experiment(name="deleted")
    read_now(deleted, "Lily")
    read_now(kept, "Lily")
    assert resident.experiments == [deleted.pk, kept.pk]
    gone = deleted.pk
    deleted.delete()
    read_now(kept, "Tom")
    assert resident.experiments == [kept.pk]
    assert gone not in resident.experiments


def test_a_lens_can_be_loaded_before_its_first_prompt(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = ResidentLenses(lambda _: FakeLens(), budget=10_000)
    monkeypatch.setattr(runner, "_resident", lambda: resident)
    experiment = make_experiment()
    prepare(experiment.pk)
    prepare(experiment.pk + 1)  # deleted meanwhile
    assert resident.experiments == [experiment.pk]


def test_a_lens_that_cannot_be_loaded_is_told_to_the_one_who_asks(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Experiment) -> FakeLens:
        raise EnginePromptError("The weights are gone; start the experiment again.")

    resident = ResidentLenses(fail, budget=1)
    monkeypatch.setattr(runner, "_resident", lambda: resident)
    prepare(experiment.pk)
    assert read_now(experiment, "Lily").error == "The weights are gone; start the experiment again."
