"""How a reading is painted, and how the URL says which way."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from experiments.models import Experiment
from lens.heat_map import HeatMap, LensState, paint
from lens.services.readings import reading_of
from tests.lens.conftest import read_now
from tests.lens.fake_lens import FakeLens

Painter = Callable[..., HeatMap]
PROMPT = "Lily sang with wonderful Tom"  # positions 1 to 5; feature 3 is 11 on Lily and 15 on Tom


@pytest.fixture
def painted(experiment: Experiment, fake_lens: FakeLens) -> Painter:
    reading = reading_of(read_now(experiment, PROMPT))

    def paint_in(**state: int | bool) -> HeatMap:
        return paint(reading, experiment.pk, LensState(**state))

    return paint_in


def test_without_a_choice_each_token_has_the_heat_of_its_strongest_feature(painted: Painter) -> None:
    heat_map = painted()
    assert [token.level for token in heat_map.tokens] == [0, 6, 1, 1, 3, 7]
    assert heat_map.largest == 15.0
    assert heat_map.tokens[1].tip == "“Lily”  #3 names  11.0"
    assert heat_map.tokens[2].tip == "“·sang”  #7 unlabelled  2.00"
    assert heat_map.tokens[0].tip == "“<s>”  special token, not read"


def test_the_hottest_token_is_chosen_until_somebody_chooses(painted: Painter) -> None:
    assert painted().chosen.text == " Tom"
    assert painted(token=2).chosen.text == " sang"
    assert painted(token=2).tokens[2].is_chosen


@pytest.mark.parametrize("position", [0, 6, 10**9])
def test_a_token_that_is_special_or_not_there_cannot_be_chosen(painted: Painter, position: int) -> None:
    assert painted(token=position).chosen.text == " Tom"


def test_one_feature_is_measured_against_its_own_maximum(painted: Painter) -> None:
    heat_map = painted(feature=7)  # not in the catalogue: against the prompt's
    assert [token.level for token in heat_map.tokens] == [0, 4, 4, 4, 7, 3]
    heat_map = painted(feature=3)
    assert heat_map.largest == 15.0  # above the maximum of the harvest, which is 12
    assert [token.level for token in heat_map.tokens] == [0, 6, 0, 0, 0, 7]
    assert heat_map.tokens[1].tip == "“Lily”  activation 11.0"


def test_a_feature_that_does_not_fire_is_silent(painted: Painter) -> None:
    heat_map = painted(feature=40)
    assert heat_map.is_silent
    assert heat_map.feature.index == 40
    assert heat_map.chosen is not None


def test_weak_firings_may_be_missing_only_where_features_were_left_out(
    experiment: Experiment, fake_lens: FakeLens, painted: Painter
) -> None:
    assert not painted(feature=7).may_miss_weak_firings
    reading = reading_of(read_now(experiment, PROMPT, top_k=1))
    assert paint(reading, experiment.pk, LensState(feature=7)).may_miss_weak_firings
    assert not paint(reading, experiment.pk, LensState()).may_miss_weak_firings


def test_the_error_can_be_the_colour(painted: Painter) -> None:
    heat_map = painted(by_error=True)
    assert [token.level for token in heat_map.tokens] == [0, 7, 7, 7, 7, 7]
    assert heat_map.tokens[1].tip == "“Lily”  relative error 25 %"


def test_tables_rank_features_and_lead_to_their_place(painted: Painter) -> None:
    heat_map = painted(token=1)
    assert [(row.feature.index, row.activation) for row in heat_map.chosen_features] == [(3, 11.0), (7, 2.0)]
    assert [(row.feature.index, row.activation, row.position) for row in heat_map.peaks] == [(3, 15.0, 5), (7, 4.5, 4)]
    assert heat_map.peaks[0].query == "?token=5&feature=3"


def test_a_prompt_of_special_tokens_only_has_no_chosen_token(experiment: Experiment) -> None:
    special = {"text": "<s>", "special": True, "active_count": 0, "relative_error": None, "features": []}
    reading = reading_of(experiment.analyses.create(text="-", status="finished", result={"tokens": [special]}))
    assert paint(reading, experiment.pk, LensState()).chosen is None


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ({}, LensState()),
        ({"token": "6", "feature": "12"}, LensState(token=6, feature=12)),
        ({"colour": "error", "token": "6"}, LensState(token=6, by_error=True)),
        ({"token": "-1", "feature": "NaN", "colour": "pink"}, LensState()),
        ({"token": "9" * 30, "feature": ""}, LensState()),
    ],
)
def test_the_url_is_the_state(query: dict[str, str], state: LensState) -> None:
    assert LensState.of(query) == state
    again = {name: values[0] for name, values in parse_qs(state.query.removeprefix("?")).items()}
    assert LensState.of(again) == state


def test_a_link_changes_one_thing_and_keeps_the_rest(painted: Painter) -> None:
    state = painted(token=2, feature=3).state
    assert state.with_token(4).query == "?token=4&feature=3"
    assert state.with_strongest.query == "?token=2"
    assert state.with_error.query == "?token=2&colour=error"
