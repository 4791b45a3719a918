"""`manage.py evaluate` with the real engine: the same numbers again, and on request those of other tools."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Experiment
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
