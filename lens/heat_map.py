"""What the lens page shows of a reading: every token with its heat, one of them chosen, coloured in one of three ways.

The state is the URL's: `?token=6` chooses a token, `?feature=12` colours by one feature, `?colour=error` by what the
SAE does not explain; otherwise each token has the colour of its strongest feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from features.readable_text import visible
from features.templatetags.evidence import heat, percent, significant
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Refused
from lens.services.readings import KnownFeature, ReadFeature, Reading, ReadToken, known_features

MAXIMUM_INDEX = 2**31 - 1


@dataclass(frozen=True)
class LensState:
    """What is chosen on the page; None and False are "nothing in particular"."""

    token: int | None = None
    feature: int | None = None
    by_error: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> LensState:
        """The state in a URL. What makes no sense is left out: an address that was mistyped still shows the prompt."""
        return cls(
            token=_number(query.get("token")),
            feature=_number(query.get("feature")),
            by_error=query.get("colour") == "error",
        )

    @property
    def query(self) -> str:
        """The part of the URL that stands for this state."""
        parts: dict[str, int | str] = {}
        if self.token is not None:
            parts["token"] = self.token
        if self.feature is not None:
            parts["feature"] = self.feature
        elif self.by_error:
            parts["colour"] = "error"
        return f"?{urlencode(parts)}"

    def with_token(self, position: int) -> LensState:
        return replace(self, token=position)

    @property
    def with_strongest(self) -> LensState:
        return LensState(self.token)

    @property
    def with_error(self) -> LensState:
        return LensState(self.token, by_error=True)


@dataclass(frozen=True)
class HeatToken:
    """A token as it is painted. `level` is 0 to 7; `tip` says what the colour stands for."""

    token: ReadToken
    level: int
    tip: str
    query: str
    is_chosen: bool

    @property
    def ends_line(self) -> bool:
        return "\n" in self.token.text


@dataclass(frozen=True)
class FeatureRow:
    """A feature in one of the page's tables. `query` colours the prompt by it; `position` is where it fires."""

    feature: KnownFeature
    activation: float
    position: int
    query: str


@dataclass(frozen=True)
class HeatMap:
    """A painted prompt. `largest` is what the hottest colour stands for; `feature` the one it is coloured by.

    `chosen_features` are those of the chosen token, `peaks` those of the whole prompt, each where it fires most.
    """

    state: LensState
    tokens: list[HeatToken]
    chosen: ReadToken | None
    chosen_features: list[FeatureRow]
    peaks: list[FeatureRow]
    feature: KnownFeature | None
    largest: float

    @property
    def is_silent(self) -> bool:
        return not any(token.level for token in self.tokens)

    @property
    def may_miss_weak_firings(self) -> bool:
        """Coloured by one feature, and somewhere more features fire than were kept."""
        return self.feature is not None and any(painted.token.weaker_count > 0 for painted in self.tokens)


def paint(reading: Reading, experiment_id: int, state: LensState) -> HeatMap:
    """The heat map of a reading in a state of the page; one query when the state names a feature."""
    feature = None
    if state.feature is not None:
        feature = known_features(experiment_id, [state.feature])[state.feature]
    values = [_value(token, state) for token in reading.tokens]
    # One feature is measured against its own maximum, so that a weak firing looks weak; the rest within the prompt.
    largest = max([*values, feature.max_activation if feature else 0.0], default=0.0)
    chosen = _chosen(reading, state, values)
    tokens = [
        HeatToken(
            token,
            level=heat(value, largest),
            tip=_tip(token, value, state),
            query=state.with_token(token.position).query,
            is_chosen=token is chosen,
        )
        for token, value in zip(reading.tokens, values, strict=True)
    ]
    here = replace(state, token=chosen.position) if chosen else state
    return HeatMap(here, tokens, chosen, _features_of(chosen), _peaks(reading), feature, largest)


def _features_of(token: ReadToken | None) -> list[FeatureRow]:
    return [_row(read, token.position) for read in token.features] if token else []


def _peaks(reading: Reading) -> list[FeatureRow]:
    return [_row(read, position) for read, position in reading.peaks()]


def _row(read: ReadFeature, position: int) -> FeatureRow:
    state = LensState(token=position, feature=read.feature.index)
    return FeatureRow(read.feature, read.activation, position, state.query)


def _value(token: ReadToken, state: LensState) -> float:
    if state.feature is not None:
        return token.activation_of(state.feature)
    if state.by_error:
        return token.relative_error or 0.0
    return token.strongest.activation if token.strongest else 0.0


def _chosen(reading: Reading, state: LensState, values: list[float]) -> ReadToken | None:
    """The token that the state names, or else the hottest one; special tokens are not read, so never chosen."""
    readable = [token for token in reading.tokens if not token.special]
    named = next((token for token in readable if token.position == state.token), None)
    return named or max(readable, key=lambda token: values[token.position], default=None)


def _tip(token: ReadToken, value: float, state: LensState) -> str:
    text = f"“{visible(token.text)}”"
    if token.special:
        return f"{text}  special token, not read"
    if state.feature is not None:
        return f"{text}  activation {significant(value)}"
    if state.by_error:
        return f"{text}  relative error {percent(value)}"
    if token.strongest is None:
        return f"{text}  no feature fires"
    label = token.strongest.feature.label or "unlabelled"
    return f"{text}  #{token.strongest.feature.index} {label}  {significant(value)}"


def _number(text: str | None) -> int | None:
    try:
        return parse_integer(text, field="number", minimum=0, maximum=MAXIMUM_INDEX)
    except Refused:
        return None
