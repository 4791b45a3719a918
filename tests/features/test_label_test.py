"""A blind test of a label by a person: what is shown, what is stored."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from features.models import DetectionTest, Feature, Label
from features.services.detection_tests import blind_windows
from features.services.labels import Author, LabelDraft, add_label
from latentlens.lib.problems import Conflict
from tests.features import synthetic_index as synthetic


@pytest.fixture
def newline(experiment: Experiment) -> Feature:
    return Feature.objects.get(experiment=experiment, index=synthetic.NEWLINE)


def test_half_of_the_windows_fire_and_the_same_seed_gives_the_same(newline: Feature) -> None:
    windows = blind_windows(newline, 7)
    assert windows == blind_windows(newline, 7) != blind_windows(newline, 8)
    assert sum(window.fires for window in windows) * 2 == len(windows) >= 16
    for window in windows:
        assert window.fires == any(token.activation > 0 for token in window.tokens)
        assert window.fires == any(token.text == "\n" for token in window.tokens)


def test_a_person_s_answers_are_scored_and_stored(page_client: Client, owner: User, newline: Feature) -> None:
    label = add_label(newline.pk, LabelDraft("line ends"), Author())
    address = reverse("features:test-label", args=[newline.experiment_id, newline.index, label.pk])
    html = page_client.get(address).content.decode()
    assert "heat-" not in html
    seed = int(re.findall(r'name="seed" value="(\d+)"', html)[0])
    firing = [window.number for window in blind_windows(newline, seed) if window.fires]
    answer = page_client.post(address, {"seed": seed, "fires": firing[1:]}).content.decode()
    assert "heat-7" in answer
    assert "wrong" in answer
    test = DetectionTest.objects.get()
    assert (test.true_positives, test.false_negatives, test.false_positives) == (len(firing) - 1, 1, 0)
    assert (test.who, test.label_version, test.seed) == ("owner", 1, seed)
    label.refresh_from_db()
    assert label.score == test.balanced_accuracy == pytest.approx(1 - 0.5 / len(firing))


def test_a_feature_that_leaves_no_choice_says_so(page_client: Client, experiment: Experiment) -> None:
    always = Feature.objects.get(index=synthetic.ALWAYS_ON)
    with pytest.raises(Conflict):
        blind_windows(always, 1)
    label = add_label(always.pk, LabelDraft("everything"), Author())
    answer = page_client.get(reverse("features:test-label", args=[experiment.pk, always.index, label.pk]))
    assert answer.status_code == 422
    assert "too little held-out text" in answer.content.decode()


@pytest.mark.parametrize("answers", [{"fires": ["x", "-1", "9999999"]}, {"seed": "-5"}, {"seed": "x"}])
def test_answers_that_make_no_sense_harm_nothing(
    page_client: Client, newline: Feature, answers: dict[str, object]
) -> None:
    label = add_label(newline.pk, LabelDraft("line ends"), Author())
    address = reverse("features:test-label", args=[newline.experiment_id, newline.index, label.pk])
    assert page_client.post(address, {"seed": 1} | answers).status_code in (200, 422)
    assert Label.objects.get().text == "line ends"
    assert page_client.get(address.replace(f"/{label.pk}/", "/999/")).status_code == 404
