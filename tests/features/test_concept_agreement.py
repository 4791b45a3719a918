"""Machine labels against what was planted: a label that says it, one that does not, and a real text of the corpus."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex
from features.explaining.agreement import agreement_of
from features.explaining.families import families_of
from features.explaining.harvest_view import HarvestView
from features.explaining.rules import Rule, best_rule
from features.models import MachineLabelling
from tests.features import synthetic_index as synthetic


@pytest.fixture
def view(harvested: Experiment) -> HarvestView:
    return HarvestView.of(ActivationIndex(experiment_folder(harvested.pk)).files)


def positions_of(*texts: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    tokens = synthetic.synthetic_index().tokens
    return np.array([position for position, _, _, text in tokens if text in texts], np.int64)


def rule_for(view: HarvestView, *texts: str) -> Rule:
    positions = positions_of(*texts)
    rule = best_rule(families_of(view), positions[view.explains[positions]])
    assert rule is not None
    return rule


def test_a_label_that_says_the_concept_agrees_and_another_guesses(view: HarvestView) -> None:
    days = positions_of(*synthetic.WEEKDAYS)
    right = agreement_of(view, rule_for(view, *synthetic.WEEKDAYS), "weekday", days, [0])
    wrong = agreement_of(view, rule_for(view, "\n"), "weekday", days, [0])
    assert right is not None
    assert wrong is not None
    assert (right.detection.balanced_accuracy, right.precision, right.recall) == (1.0, 1.0, 1.0)
    assert wrong.detection.balanced_accuracy == pytest.approx(0.5, abs=0.1)
    assert (wrong.precision, wrong.recall) == (0.0, 0.0)


def test_a_label_of_a_part_of_a_concept_is_precise_and_misses_the_rest(view: HarvestView) -> None:
    part = agreement_of(view, rule_for(view, " Monday"), "weekday", positions_of(*synthetic.WEEKDAYS), [0])
    assert part is not None
    assert (part.precision, part.recall) == (1.0, pytest.approx(1 / 3))
    assert 0.5 < part.detection.balanced_accuracy < 0.9


def test_a_concept_with_too_little_held_out_text_is_left_out(view: HarvestView) -> None:
    assert agreement_of(view, rule_for(view, "\n"), "name", positions_of(synthetic.SCRIPT), [0]) is None


@pytest.fixture
def recovered(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The evaluation says that a feature recovers the weekdays, and, wrongly, that the line ends are greetings."""
    found = [("weekday", "Day of the week", synthetic.WEEKDAY), ("greeting", "Greeting", synthetic.NEWLINE)]
    rows = [{"concept": name, "title": title, "feature": feature, "f1": 0.9} for name, title, feature in found]
    unsure = {"concept": "month", "title": "Month", "feature": None, "f1": 0.0}
    experiment.quality = {"concepts": {"rows": [*rows, unsure]}}
    experiment.save()
    planted = {"weekday": positions_of(*synthetic.WEEKDAYS), "greeting": positions_of("Dear")}
    monkeypatch.setattr("features.services.concept_agreement.planted_in", lambda experiment, documents: planted)
    return experiment


def test_it_is_told_on_the_page_by_the_command_and_by_the_api(
    recovered: Experiment, page_client: Client, api_client: Client
) -> None:
    out = StringIO()
    call_command("label_by_machine", recovered.pk, "--json", stdout=out)
    told = json.loads(out.getvalue())["agreement"]
    assert (told["recovered"], told["told"]) == (2, 1)
    assert [(row["concept"], row["feature"]) for row in told["rows"]] == [("weekday", 0), ("greeting", 1)]
    row = MachineLabelling.objects.get()
    assert api_client.get(f"/api/labels/machine/{row.pk}").json()["agreement"] == told
    page = page_client.get(reverse("features:machine-labels", args=[recovered.pk])).content.decode()
    assert "planted concepts that one feature recovers, <strong>1</strong>" in page
    assert "Day of the week" in page
    plain = StringIO()
    call_command("label_by_machine", recovered.pk, stdout=plain)
    assert "Of 2 planted concepts that a feature recovers, 1 are told by its label" in plain.getvalue()


def test_without_planted_concepts_nothing_is_said(experiment: Experiment, api_client: Client) -> None:
    out = StringIO()
    call_command("label_by_machine", experiment.pk, "--json", stdout=out)
    assert json.loads(out.getvalue())["agreement"] is None
    assert api_client.get(f"/api/labels/machine/{MachineLabelling.objects.get().pk}").json()["agreement"] is None
