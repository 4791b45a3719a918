"""`manage.py evaluate` with the real engine: the same numbers again, and on request those of other tools."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from experiments.engine.records import StageFinished
from experiments.models import Experiment
from experiments.services.experiments import delete_experiment
from experiments.services.leases import claim_finished, release_finished
from latentlens.lib.problems import Conflict
from tests.experiments.test_replay_command import trained

__all__ = ["trained"]  # the fixture: a finished experiment
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_finished_experiment_is_evaluated_again(trained: Experiment) -> None:
    before = trained.quality
    trained.quality = {}
    trained.save()
    call_command("evaluate", str(trained.pk), stdout=io.StringIO())
    trained.refresh_from_db()
    assert trained.quality == before

    printed = io.StringIO()
    call_command("evaluate", str(trained.pk), "--variants", "--json", stdout=printed)
    trained.refresh_from_db()
    assert json.loads(printed.getvalue()) == trained.quality
    assert "openai_nmse" in trained.quality.pop("variants")
    assert trained.quality == before


def test_what_another_process_evaluates_is_refused_and_not_deleted(trained: Experiment) -> None:
    claim_finished(trained.pk, "laptop:4711:x")
    with pytest.raises(CommandError, match="is being evaluated by process 4711 on laptop"):
        call_command("evaluate", str(trained.pk))
    with pytest.raises(Conflict, match="process 4711 on laptop"):
        delete_experiment(trained.pk)
    release_finished(trained.pk, "laptop:4711:x")
    delete_experiment(trained.pk)


def test_an_evaluation_whose_experiment_is_taken_stores_nothing(
    trained: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> Iterator[StageFinished]:
        Experiment.objects.update(owner="another")
        yield StageFinished("evaluation", {"l0": -1.0})

    monkeypatch.setattr("experiments.engine.pipeline.evaluate", taken)
    with pytest.raises(CommandError, match="nothing was stored"):
        call_command("evaluate", str(trained.pk))
    trained.refresh_from_db()
    assert trained.quality["l0"] > 0
    assert trained.owner == "another"


def test_an_evaluation_that_fails_lets_go(trained: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[StageFinished]:
        raise RuntimeError
        yield

    monkeypatch.setattr("experiments.engine.pipeline.evaluate", broken)
    with pytest.raises(CommandError):
        call_command("evaluate", str(trained.pk))
    trained.refresh_from_db()
    assert not trained.is_held


def test_an_unfinished_experiment_is_refused(trained: Experiment) -> None:
    Experiment.objects.update(status=Experiment.Status.PAUSED)
    with pytest.raises(CommandError, match="finished experiment"):
        call_command("evaluate", str(trained.pk))
    with pytest.raises(CommandError):
        call_command("evaluate", "999")


def test_an_experiment_shares_all_features_with_itself(trained: Experiment) -> None:
    printed = io.StringIO()
    call_command("compare_seeds", str(trained.pk), str(trained.pk), "--json", stdout=printed)
    assert json.loads(printed.getvalue()) == {"seed_stability": 1.0}
    Experiment.objects.update(status=Experiment.Status.PAUSED)
    with pytest.raises(CommandError, match="finished"):
        call_command("compare_seeds", str(trained.pk), str(trained.pk))
