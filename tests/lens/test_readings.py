"""A reading joined with the catalogue: ids, labels of today, and a constant number of queries."""

from __future__ import annotations

from typing import Any

from experiments.models import Experiment
from features.models import Label
from lens.services import readings
from lens.services.readings import reading_of
from tests.lens.conftest import make_experiment, make_feature, read_now
from tests.lens.fake_lens import FakeLens


def test_features_come_with_id_and_label(experiment: Experiment, fake_lens: FakeLens) -> None:
    token = reading_of(read_now(experiment, "Lily sang")).tokens[1]
    names, other = token.features
    assert (names.feature.index, names.feature.label, names.activation) == (3, "names", 11.0)
    assert names.feature.pk == experiment.features.get(index=3).pk
    assert names.feature.get_absolute_url() == f"/experiments/{experiment.pk}/features/3/"
    assert (other.feature.index, other.feature.pk, other.feature.label) == (7, None, None)
    assert other.feature.get_absolute_url() is None


def test_a_label_given_later_is_shown(experiment: Experiment, fake_lens: FakeLens) -> None:
    analysis = read_now(experiment, "sang")
    feature = make_feature(experiment, 7)
    Label.objects.create(feature=feature, experiment=feature.experiment, text="every word")
    Label.objects.create(feature=feature, experiment=feature.experiment, text="withdrawn", is_current=False)
    assert reading_of(analysis).tokens[1].features[0].feature.label == "every word"


def test_features_of_another_experiment_are_not_mixed_up(experiment: Experiment, fake_lens: FakeLens) -> None:
    make_feature(make_experiment(name="other"), 7, label="somewhere else")
    assert reading_of(read_now(experiment, "sang")).tokens[1].features[0].feature.label is None


def test_one_query_however_long_the_prompt(
    experiment: Experiment, fake_lens: FakeLens, django_assert_num_queries: Any
) -> None:
    short, long = read_now(experiment, "Lily"), read_now(experiment, "Lily and Tom sang " * 5)
    for analysis in (short, long):
        with django_assert_num_queries(1):
            reading_of(analysis)


def test_more_features_than_a_condition_takes_are_looked_up_in_parts(
    experiment: Experiment, fake_lens: FakeLens, monkeypatch: Any, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(readings, "LOOK_UP_AT_ONCE", 1)
    analysis = read_now(experiment, "Lily sang")
    with django_assert_num_queries(2):
        assert reading_of(analysis).tokens[1].features[0].feature.label == "names"


def test_peaks_are_where_a_feature_fires_most(experiment: Experiment, fake_lens: FakeLens) -> None:
    peaks = reading_of(read_now(experiment, "Lily met Tom")).peaks()
    assert [(read.feature.index, read.activation, position) for read, position in peaks] == [(3, 13.0, 3), (7, 2.0, 1)]


def test_what_was_left_out_is_counted(experiment: Experiment, fake_lens: FakeLens) -> None:
    tokens = reading_of(read_now(experiment, "Lily sang", top_k=1)).tokens
    assert [token.weaker_count for token in tokens] == [0, 1, 0]


def test_the_mean_error_leaves_special_tokens_out(experiment: Experiment, fake_lens: FakeLens) -> None:
    assert reading_of(read_now(experiment, "Lily sang")).mean_relative_error == 0.25
    assert readings.Reading(()).mean_relative_error == 0.0
