"""Labels of one experiment taken over by another: which features match, how well, and what becomes of the labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index.firings import Firings
from features.models import Feature, Label, MachineLabelling
from features.services import label_transfer
from features.services.catalogue import import_catalogue
from features.services.label_transfer import start_transfer, transfer_features
from features.services.labels import Author, LabelDraft, add_label
from latentlens.lib.problems import Conflict, Refused
from tests.features.conftest import new_experiment

# Index in the source to index in the target and the cosine of their decoder rows, as the engine would find them.
MATCHES = {0: (1, 0.98), 1: (0, 0.8), 9: (9, 0.75)}


@pytest.fixture
def twin(experiment: Experiment, written_index: Path) -> Experiment:
    """Another experiment on the same text, whose features 0 and 1 are exchanged as far as decoders say."""
    other = new_experiment(name="twin")
    shutil.copytree(written_index, experiment_folder(other.pk).index)
    import_catalogue(other.pk)
    return other


@pytest.fixture(autouse=True)
def known_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    def matches(source: Experiment, target: Experiment, least: float) -> dict[int, tuple[int, float]]:
        return {one: found for one, found in MATCHES.items() if found[1] > least}

    monkeypatch.setattr(label_transfer, "_matches", matches)


def label(experiment: Experiment, index: int, text: str, author: Author | None = None, **columns: Any) -> Label:
    feature = Feature.objects.get(experiment=experiment, index=index)
    return add_label(feature.pk, LabelDraft.of(text, "why", ["dates"], 0.5), author or Author(), **columns)


def taken_over(source: Experiment, target: Experiment, **choices: Any) -> MachineLabelling:
    row = start_transfer(target, source, None, **choices)
    transfer_features(row)
    row.refresh_from_db()
    return row


def test_labels_follow_their_features_with_a_score_to_be_reviewed(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 9, "noon")
    label(experiment, 2, "markup")
    row = taken_over(experiment, twin)
    assert (row.status, row.done, row.labelled) == ("finished", 2, 1)
    new = Label.objects.get(experiment=twin)
    assert (new.feature.index, new.text, new.confidence, new.method, new.review) == (
        9,
        "noon",
        0.5,
        "transfer",
        "pending",
    )
    assert [tag.name for tag in new.tags.all()] == ["dates"]
    assert f"#9 of experiment {experiment.pk} (cosine 0.75, correlation 1.00)" in new.note
    assert new.match_score == pytest.approx((0.75 + 1) / 2)
    assert list(row.failures.values()) == [[2]]


def test_activations_that_differ_lower_the_score(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 0, "weekdays")
    taken_over(experiment, twin)
    new = Label.objects.get(experiment=twin)
    assert new.feature.index == 1
    assert new.match_score is not None
    assert new.match_score < 0.6


def test_a_second_transfer_adds_nothing_and_people_stay_current(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 9, "noon")
    label(twin, 9, "twelve o'clock")
    for _ in range(2):
        taken_over(experiment, twin)
    texts = Label.objects.filter(experiment=twin).values_list("text", "is_current")
    assert set(texts) == {("noon", False), ("twelve o'clock", True)}
    assert len(texts) == 2


def test_only_labels_that_somebody_stands_for_are_taken(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 9, "a guess", Author.machine("token statistics"), review="pending")
    with pytest.raises(Conflict, match="no labels"):
        start_transfer(twin, experiment, None)
    label(experiment, 1, "line ends", Author.machine("token statistics"), review="approved")
    assert taken_over(experiment, twin).labelled == 1


def test_the_least_cosine_is_kept(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 9, "noon")
    row = taken_over(experiment, twin, least=0.9)
    assert (row.labelled, list(row.failures)) == (0, ["No feature here has a decoder row with a cosine above 0.9."])


def test_without_the_same_text_only_decoders_count(experiment: Experiment, twin: Experiment, monkeypatch: Any) -> None:
    monkeypatch.setattr(label_transfer, "_is_same", lambda first, second: False)
    label(experiment, 9, "noon")
    taken_over(experiment, twin)
    assert Label.objects.get(experiment=twin).match_score == pytest.approx(0.75)


def test_the_correlation_is_numpy_s() -> None:
    random = np.random.default_rng(3)
    x, y = random.random(200) * (random.random(200) < 0.2), random.random(200) * (random.random(200) < 0.3)
    y[:20] = x[:20]

    def firings(values: Any) -> Firings:
        places = np.flatnonzero(values)
        return Firings(places, values[places].astype(np.float32))

    found = label_transfer._pearson(firings(x), firings(y), 200)
    assert found == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
    assert label_transfer._pearson(firings(np.zeros(200)), firings(y), 200) == 0.0


def test_what_cannot_be_a_source_is_refused(experiment: Experiment, twin: Experiment) -> None:
    label(experiment, 9, "noon")
    other_model = new_experiment(name="another model")
    Experiment.objects.filter(pk=other_model.pk).update(model="hub:gpt2")
    other_model.refresh_from_db()
    for source in (None, twin, other_model):
        with pytest.raises(Refused):
            start_transfer(twin, source, None)


def test_it_is_asked_for_on_the_page_and_by_the_api(
    page_client: Client, api_client: Client, experiment: Experiment, twin: Experiment
) -> None:
    label(experiment, 9, "noon")
    address = reverse("features:machine-labels", args=[twin.pk])
    assert f'<option value="{experiment.pk}">' in page_client.get(address).content.decode()
    page_client.post(address, {"method": "transfer", "source": experiment.pk, "least_match": "0.7"})
    row = MachineLabelling.objects.get()
    assert (row.method, row.source, row.status) == ("transfer", experiment, "queued")
    transfer_features(row)
    assert "Transfer from letters" in page_client.get(address).content.decode()
    for wrong in ({"source": "x"}, {"source": experiment.pk, "least_match": "7"}, {"source": 999}):
        html = page_client.post(address, {"method": "transfer"} | wrong, follow=True).content.decode()
        assert "notice--bad" in html
    answer = api_client.post(
        f"/api/labels/transfer?experiment={twin.pk}", {"source": experiment.pk}, content_type="application/json"
    )
    assert answer.status_code == 202
    assert MachineLabelling.objects.count() == 2
