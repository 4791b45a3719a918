"""Machine labels: what is counted, how it is tested, and that they keep out of the way of people."""

from __future__ import annotations

import json
import math
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex
from features.explaining.detection import Detection
from features.explaining.explanations import Explainer, Explanation
from features.explaining.families import listed
from features.explaining.token_classes import CLASSES, classes_of
from features.models import DetectionTest, Feature, Label, MachineLabelling
from features.services.labels import Author, LabelDraft, add_label, review_label
from features.services.machine_labels import METHOD, cancel_labelling, label_features, start_labelling
from latentlens.lib.problems import Conflict
from tests.features import synthetic_index as synthetic


@pytest.fixture
def explainer(harvested: Experiment) -> Explainer:
    return Explainer(ActivationIndex(experiment_folder(harvested.pk)))


def explained(explainer: Explainer, feature: int) -> Explanation:
    truth = synthetic.synthetic_index().activations[feature]
    return explainer.explain(feature, np.array(sorted(truth), np.int64))


def test_a_feature_of_one_token_is_named_by_it(explainer: Explainer) -> None:
    newline = explained(explainer, synthetic.NEWLINE)
    assert newline.text == "the token “↵”"
    assert newline.detection is not None
    assert newline.detection.balanced_accuracy == 1.0


def test_a_feature_of_several_tokens_names_them(explainer: Explainer) -> None:
    weekday = explained(explainer, synthetic.WEEKDAY)
    assert set(weekday.text.removeprefix("the tokens ").replace(" and ", ", ").split(", ")) == {
        "“·Monday”",
        "“·Tuesday”",
        "“·Friday”",
    }
    assert "fires on 100% of the tokens that the label means, and they are 100% of its firings" in weekday.note


def test_what_cannot_be_tested_says_why(explainer: Explainer) -> None:
    assert explained(explainer, synthetic.ONCE).problem == "It fires too seldom in the half of the text that explains."
    always = explained(explainer, synthetic.ALWAYS_ON)
    assert always.problem == "There is too little text to test on."
    assert always.detection is None


def test_halves_are_apart_and_context_ends_with_its_passage(explainer: Explainer) -> None:
    view = explainer.view
    assert not np.any(view.explains & view.tests)
    assert set(view.document[view.explains] % 2) == {0}
    first = np.flatnonzero(np.diff(view.passage, prepend=0) != 0)
    assert set(view.before[first]) == {-1}
    assert set(view.offset[first]) == {0}
    inner = np.setdiff1d(np.arange(len(view.token)), first)
    assert np.array_equal(view.before[inner], view.token[inner - 1])
    assert np.array_equal(view.after[inner - 1], view.token[inner])


def test_all_features_are_explained_as_one_by_one(explainer: Explainer, truth: Any) -> None:
    counts = [(feature, len(truth.activations[feature])) for feature in range(synthetic.FEATURES)]
    assert list(explainer.explain_all(counts)) == [explained(explainer, feature) for feature, _ in counts]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("7", "single digits"),
        (" 1984", "numbers"),
        (" the", "lower-case words"),
        (" Paris", "capitalised words"),
        ("ing", "parts of words"),
        (" NATO", "words in capitals"),
        (" ", "blanks"),
        ("\n\n", "line ends"),
        (" €", "currency signs"),
        ("“", "quotation marks"),
        (" (", "opening brackets"),
        (" été", "words with accents"),
        (" слово", "Cyrillic text"),
        ("日本", "Chinese or Japanese text"),
        ("⟨E2⟩", "bytes of characters"),
        ("...", "full stops"),
        ("<b>", "markup"),
        (" a", "single letters"),
        (" >=", "other punctuation"),
    ],
)
def test_tokens_have_a_class(text: str, name: str) -> None:
    assert CLASSES[classes_of([text])[0]] == name


@pytest.mark.parametrize(
    ("names", "text"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (list("abcde"), "a, b, c and 2 more")],
)
def test_sets_are_named_in_words(names: list[str], text: str) -> None:
    assert listed(names) == text


def test_the_interval_of_a_detection_test_holds_it_and_shrinks() -> None:
    few, many = Detection(9, 1, 8, 2), Detection(900, 100, 800, 200)
    for test in (few, many, Detection(10, 0, 10, 0), Detection(0, 5, 0, 5)):
        low, high = test.interval
        assert 0 <= low <= test.balanced_accuracy <= high <= 1
    assert few.balanced_accuracy == pytest.approx(0.85)
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]
    # Newcombe's method, by hand, for 900 of 1000 and 800 of 1000.
    low1, low2 = 0.8799, 0.7741
    assert many.interval[0] == pytest.approx(0.85 - math.hypot(0.9 - low1, 0.8 - low2) / 2, abs=1e-3)


def run(experiment: Experiment, user: User | None = None) -> MachineLabelling:
    row = start_labelling(experiment, METHOD, user)
    label_features(row)
    row.refresh_from_db()
    return row


def test_a_whole_experiment_is_labelled_and_tested(experiment: Experiment, owner: User) -> None:
    row = run(experiment, owner)
    live = Feature.objects.filter(firings__gt=0).count()
    assert (row.status, row.features, row.done) == ("finished", live, live)
    assert row.labelled == Label.objects.count() > 20
    label = Label.objects.get(feature__index=synthetic.NEWLINE)
    assert (label.text, label.method, label.review, label.score) == ("the token “↵”", METHOD, "pending", 1.0)
    assert label.is_current
    assert label.detection_tests.get().balanced_accuracy == 1.0
    assert row.convincing == DetectionTest.objects.filter(balanced_accuracy__gte=0.8).count()
    assert synthetic.ONCE in row.failures["It fires too seldom in the half of the text that explains."]


def test_a_second_pass_changes_nothing_but_tests_again(experiment: Experiment) -> None:
    run(experiment)
    labels = list(Label.objects.values_list("pk", "text", "version"))
    tests = DetectionTest.objects.count()
    run(experiment)
    assert list(Label.objects.values_list("pk", "text", "version")) == labels
    assert DetectionTest.objects.count() == 2 * tests


def test_people_are_never_overwritten(experiment: Experiment, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft("days of the week"), Author())
    run(experiment)
    assert weekday.labels.get(is_current=True).text == "days of the week"
    assert weekday.labels.count() == 2


def test_a_rejected_label_does_not_come_back(experiment: Experiment, weekday: Feature) -> None:
    run(experiment)
    label = weekday.labels.get()
    review_label(weekday.pk, label.pk, Label.Review.REJECTED, Author())
    run(experiment)
    assert weekday.labels.get().review == "rejected"
    assert not weekday.labels.filter(is_current=True).exists()


def test_what_was_cut_off_goes_on_and_what_was_cancelled_stops(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.services.machine_labels.FEATURES_AT_ONCE", 10)
    row = start_labelling(experiment, METHOD, None)
    written: list[int] = []

    def killed(explainer: Explainer, feature: int, firings: Any) -> Explanation:
        written.append(feature)
        if len(written) == 15:
            raise KeyboardInterrupt
        return original(explainer, feature, firings)

    original = Explainer.explain
    with monkeypatch.context() as patched:
        patched.setattr(Explainer, "explain", killed)
        with pytest.raises(KeyboardInterrupt):
            label_features(row)
    row.refresh_from_db()
    assert (row.status, row.done) == ("running", 10)
    label_features(row)
    row.refresh_from_db()
    assert (row.status, row.done) == ("finished", row.features)
    other = start_labelling(experiment, METHOD, None)
    with pytest.raises(Conflict, match="already"):
        start_labelling(experiment, METHOD, None)
    cancel_labelling(other)
    label_features(other)
    other.refresh_from_db()
    assert (other.status, other.done) == ("cancelled", 0)


def test_two_workers_at_one_pass_count_every_feature_once(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.services.machine_labels.FEATURES_AT_ONCE", 10)
    row = start_labelling(experiment, METHOD, None)
    original, began = Explainer.explain, []

    def interrupted(explainer: Explainer, feature: int, firings: Any) -> Explanation:
        if len(began) == 12:
            began.append(feature)
            label_features(MachineLabelling.objects.get(pk=row.pk))
        began.append(feature)
        return original(explainer, feature, firings)

    monkeypatch.setattr(Explainer, "explain", interrupted)
    label_features(row)
    row.refresh_from_db()
    assert (row.status, row.done, row.labelled) == ("finished", row.features, Label.objects.count())


def test_a_damaged_index_is_a_sentence(experiment: Experiment) -> None:
    row = start_labelling(experiment, METHOD, None)
    experiment_folder(experiment.pk).tokens.unlink()
    label_features(row)
    row.refresh_from_db()
    assert row.status == "failed"
    assert "harvest it again" in row.error


def test_it_is_asked_for_watched_and_cancelled_on_the_page(page_client: Client, experiment: Experiment) -> None:
    address = reverse("features:machine-labels", args=[experiment.pk])
    assert "Label the features" in page_client.get(address).content.decode()
    page_client.post(address)
    row = MachineLabelling.objects.get()
    assert "queued" in page_client.get(address, headers={"HX-Request": "true"}).content.decode()
    page_client.post(reverse("features:cancel-machine-labels", args=[experiment.pk, row.pk]))
    row.refresh_from_db()
    assert row.status == "cancelled"
    run(experiment)
    html = page_client.get(address).content.decode()
    assert "of them convince" in html
    assert "It fires too seldom" in html


def test_the_api_and_the_command_do_the_same(api_client: Client, experiment: Experiment) -> None:
    started = api_client.post(f"/api/labels/machine?experiment={experiment.pk}")
    assert started.status_code == 202, started.content
    row = MachineLabelling.objects.get()
    again = api_client.post(f"/api/labels/machine?experiment={experiment.pk}")
    assert again.status_code == 409
    assert api_client.get(f"/api/labels/machine/{row.pk}").json()["status"] == "queued"
    cancel_labelling(row)
    out = StringIO()
    call_command("label_by_machine", experiment.pk, "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert told["labelled"] == Label.objects.count() > 0
    with pytest.raises(CommandError, match="no experiment 999"):
        call_command("label_by_machine", 999, stdout=out)
