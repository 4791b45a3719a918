"""Numbers and tokens as they are shown."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from features.density import wilson_interval
from features.readable_text import running, search_form, silent, visible
from features.templatetags import evidence, heat_maps
from latentlens.lib import histogram

EVIL = '"><script>alert(1)</script>'
ESCAPED = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.mark.parametrize(
    ("text", "in_a_chip", "in_running_text", "searched"),
    [
        (" Monday", "·Monday", " Monday", "monday"),
        (" ", "·", "·", "·"),
        ("\n", "↵", "↵", "↵"),
        ("\n\n  ", "↵↵··", "↵↵··", "↵↵··"),
        ("\tif x", "→if·x", "→if x", "if x"),
        ("⟨E2⟩", "⟨E2⟩", "⟨E2⟩", "⟨e2⟩"),
    ],
)
def test_blanks_can_be_seen(text: str, in_a_chip: str, in_running_text: str, searched: str) -> None:
    assert (visible(text), running(text), search_form(text)) == (in_a_chip, in_running_text, searched)


def test_blanks_around_what_fires_stay_blank() -> None:
    assert silent(" ") == " "
    assert silent("\n") == "↵"


def test_what_a_chip_shows_can_be_searched_for() -> None:
    for text in (" ", "\n", "\t", "⟨E2⟩", "Monday"):
        assert search_form(visible(text)) == search_form(text)


@pytest.mark.parametrize(
    ("activation", "level"), [(0.0, 0), (-1.0, 0), (1e-9, 1), (1.0, 1), (1.1, 2), (3.5, 4), (7.0, 7), (9.0, 7)]
)
def test_heat_has_seven_levels_and_silence(activation: float, level: int) -> None:
    assert evidence.heat(activation, 7.0) == level
    assert evidence.heat(1.0, 0.0) == 0


def test_an_example_on_a_card_colours_what_fires_and_nothing_of_it_is_markup() -> None:
    tokens = [{"text": EVIL, "activation": 0.0}, {"text": " ", "activation": 3.5}, {"text": EVIL, "activation": 7.0}]
    assert heat_maps.card_tokens(tokens, 7.0) == (
        f'{ESCAPED}<span class="token heat-4" title="3.50">·</span>'
        f'<span class="token heat-7" title="7.00">{ESCAPED}</span>'
    )


def test_every_token_of_an_example_has_a_tip_and_those_that_matter_are_focused() -> None:
    tokens = [
        SimpleNamespace(text=" ", activation=0.0, position=1_000),
        SimpleNamespace(text=EVIL, activation=7.0, position=1_001),
        SimpleNamespace(text=" of", activation=0.0, position=1_002),
    ]
    assert heat_maps.example_tokens(tokens, 7.0, marked=1_002) == (
        '<span class="token" data-tip="“·”  activation 0  position 1,000"> </span>'
        '<span class="token heat-7" tabindex="0" '
        f'data-tip="“{ESCAPED}”  activation 7.00  position 1,001">{ESCAPED}</span>'
        '<span class="token token--selected" tabindex="0" '
        'data-tip="“·of”  activation 0  position 1,002"> of</span>'
    )


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.1234, "12.3 %"), (0.0123, "1.23 %"), (0.0042, "0.42 %"), (3.1e-6, "0.00031 %")],
)
def test_a_small_share_is_never_shown_as_nothing(share: float, shown: str) -> None:
    assert evidence.percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(12.437, "12.4"), (12.0, "12.0"), (0.08312, "0.0831"), (1240.6, "1,241"), (0.0, "0"), (5e-7, "0.000000500")],
)
def test_three_digits_say_enough(value: float, shown: str) -> None:
    assert evidence.significant(value) == shown


def test_a_bar_is_as_long_as_its_share() -> None:
    assert 'width="25.0%"' in evidence.bar(-1, -4)
    assert 'width="100.0%"' in evidence.bar(5, 4)
    assert 'width="0.0%"' in evidence.bar(5, 0)


def test_the_interval_is_the_textbook_one() -> None:
    low, high = wilson_interval(10, 100)  # Agresti & Coull 1998: 0.055 to 0.174
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)


def test_the_interval_is_honest_at_the_ends() -> None:
    low, high = wilson_interval(0, 1000)
    assert low == 0.0
    assert 0.003 < high < 0.004
    assert wilson_interval(1000, 1000).high == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_bars_stand_on_a_logarithmic_axis() -> None:
    drawn = histogram.draw([0.1, 1.0, 10.0], [1, 4])
    assert drawn is not None
    small, tall = drawn.bars
    assert (tall.x, tall.y, tall.height) == (histogram.WIDTH / 2, 0, histogram.HEIGHT)
    assert small.height == histogram.HEIGHT / 4
    assert [tick.value for tick in drawn.ticks] == [0.1, 1.0, 10.0]


def test_one_activation_in_a_million_is_still_a_bar() -> None:
    drawn = histogram.draw([1.0, 2.0, 4.0, 8.0], [10**6, 0, 1])
    assert drawn is not None
    assert [bar.height > 0 for bar in drawn.bars] == [True, False, True]


def test_a_single_value_has_a_histogram_and_a_dead_feature_none() -> None:
    drawn = histogram.draw([2.0, 2.0], [7])
    assert drawn is not None
    assert drawn.bars[0].width > 0
    assert histogram.draw([], []) is None
