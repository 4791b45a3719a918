"""Importing what the harvest wrote: complete, repeatable, and never at the price of a label."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from experiments.signals import experiment_finished
from features.activation_index import ActivationIndex, IndexUnavailable
from features.models import Feature
from features.services import catalogue
from features.services.labels import Author, LabelDraft, add_label
from tests.features import synthetic_index as synthetic
from tests.features.synthetic_index import SyntheticIndex


def rows(experiment: Experiment) -> list[dict[str, Any]]:
    return list(Feature.objects.filter(experiment=experiment).order_by("index").values())


def test_every_feature_has_a_row_with_the_numbers_of_the_harvest(experiment: Experiment, truth: SyntheticIndex) -> None:
    features = {feature.index: feature for feature in Feature.objects.filter(experiment=experiment)}
    assert set(features) == set(range(synthetic.FEATURES))
    weekday = features[synthetic.WEEKDAY]
    assert (weekday.tokens, weekday.firings, weekday.documents) == (len(truth.tokens), 60, 60)
    assert weekday.density == 60 / len(truth.tokens)
    assert weekday.max_activation == 12.0
    assert (weekday.concept, weekday.concept_f1) == ("weekday", 0.974)
    assert features[synthetic.TWICE].documents == 60
    assert features[synthetic.DEAD].documents == features[synthetic.DEAD].firings == 0


def test_a_card_shows_the_best_example_of_three_documents(experiment: Experiment, truth: SyntheticIndex) -> None:
    card = Feature.objects.get(experiment=experiment, index=synthetic.TWICE).card
    assert card["tokens"] == [" we", " meet"]
    peaks = [(example["activation"], example["position"]) for example in card["examples"]]
    assert peaks == truth.strongest(synthetic.TWICE)[:3]
    fired = [token for token in card["examples"][0]["tokens"] if token["activation"]]
    assert [token["text"] for token in fired] == [" we", " meet"]


def test_a_weak_match_with_a_concept_is_no_name(harvested: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "CONCEPT_F1_MINIMUM", 0.98)
    catalogue.import_catalogue(harvested.pk)
    weekday = Feature.objects.get(experiment=harvested, index=synthetic.WEEKDAY)
    assert (weekday.concept, weekday.concept_f1) == ("", None)
    assert weekday.summary["concept"]["f1"] == 0.974


@pytest.mark.parametrize(("features_at_once", "activations_at_once"), [(1, 10**9), (7, 10**9), (1000, 100), (1000, 1)])
def test_chunks_change_nothing(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, features_at_once: int, activations_at_once: int
) -> None:
    in_one_go = rows(experiment)
    monkeypatch.setattr(catalogue, "FEATURES_AT_ONCE", features_at_once)
    monkeypatch.setattr(catalogue, "ACTIVATIONS_AT_ONCE", activations_at_once)
    catalogue.import_catalogue(experiment.pk)
    assert rows(experiment) == in_one_go


def test_only_the_most_frequent_features_enter_when_asked(harvested: Experiment, settings: Any) -> None:
    settings.MAX_FEATURES = 2
    assert catalogue.import_catalogue(harvested.pk) == 2
    assert [row["index"] for row in rows(harvested)] == [synthetic.ALWAYS_ON, synthetic.TWICE]
    everything_at_once = ActivationIndex(experiment_folder(harvested.pk)).best_examples(0, synthetic.FEATURES)
    assert rows(harvested)[0]["documents"] == everything_at_once[synthetic.ALWAYS_ON].total


def test_importing_again_keeps_labelled_features_and_refreshes_the_rest(
    experiment: Experiment, weekday: Feature, settings: Any
) -> None:
    label = add_label(weekday.pk, LabelDraft("weekdays"), Author())
    Feature.objects.update(density=0.5)
    settings.MAX_FEATURES = 1
    catalogue.import_catalogue(experiment.pk)
    kept = {row["index"]: row for row in rows(experiment)}
    assert set(kept) == {synthetic.WEEKDAY, synthetic.ALWAYS_ON}
    assert kept[synthetic.ALWAYS_ON]["density"] == 1.0
    label.refresh_from_db()
    assert label.feature_id == weekday.pk


def test_the_import_takes_few_queries_whatever_the_number_of_features(
    harvested: Experiment, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(6):
        catalogue.import_catalogue(harvested.pk)


def test_it_happens_when_an_experiment_has_finished(harvested: Experiment) -> None:
    experiment_finished.send(sender=None, experiment_id=harvested.pk)
    assert len(rows(harvested)) == synthetic.FEATURES


def test_a_half_written_index_is_refused_in_a_sentence(harvested: Experiment) -> None:
    path = experiment_folder(harvested.pk).features
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IndexUnavailable, match="missing or damaged"):
        catalogue.import_catalogue(harvested.pk)
