"""A finished analysis as people and programs see it: its tokens, each with its features and their labels.

The runner stores indices and numbers (`result_of`); feature ids and labels are joined when somebody looks, so that a
label given later is shown too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import OuterRef, Subquery
from django.urls import reverse

from features.models import Feature, Label
from lens.models import Analysis

if TYPE_CHECKING:
    from experiments.engine.analysis import PromptReading

# Databases bound the number of values in one condition.
LOOK_UP_AT_ONCE = 10_000
LIKELY_F1 = 0.5


@dataclass(frozen=True)
class KnownFeature:
    """A feature of the experiment; `pk` is None where MAX_FEATURES kept it out of the catalogue."""

    experiment_id: int
    index: int
    pk: int | None = None
    label: str | None = None
    max_activation: float = 0.0
    concept: str = ""
    concept_f1: float | None = None

    @property
    def likely_concept(self) -> str:
        """The planted concept that it finds at least half right (F1); empty when there is none."""
        return self.concept if (self.concept_f1 or 0.0) >= LIKELY_F1 else ""

    def get_absolute_url(self) -> str | None:
        return None if self.pk is None else reverse("features:detail", args=[self.experiment_id, self.index])


@dataclass(frozen=True)
class ReadFeature:
    """A feature and its activation on one token."""

    feature: KnownFeature
    activation: float


@dataclass(frozen=True)
class ReadToken:
    """One token of the prompt; `features` are its strongest ones, strongest first.

    `relative_error` is |x - x^| / |x| for the hidden state x; None for a special token, which is not read.
    """

    position: int
    text: str
    special: bool
    active_count: int
    relative_error: float | None
    features: tuple[ReadFeature, ...]

    @property
    def strongest(self) -> ReadFeature | None:
        return self.features[0] if self.features else None

    @property
    def weaker_count(self) -> int:
        """How many more features fire on it than were kept."""
        return self.active_count - len(self.features)

    def activation_of(self, index: int) -> float:
        """The activation of a feature: 0 where it does not fire, or is not among the features kept."""
        return next((read.activation for read in self.features if read.feature.index == index), 0.0)


@dataclass(frozen=True)
class Reading:
    """The whole prompt, read."""

    tokens: tuple[ReadToken, ...]

    def peaks(self) -> list[tuple[ReadFeature, int]]:
        """Each feature that fires, where it fires most, with that token's position; the strongest feature first."""
        peaks: dict[int, tuple[ReadFeature, int]] = {}
        for token in self.tokens:
            for read in token.features:
                known = peaks.get(read.feature.index)
                if known is None or read.activation > known[0].activation:
                    peaks[read.feature.index] = (read, token.position)
        return sorted(peaks.values(), key=lambda peak: -peak[0].activation)

    @property
    def mean_relative_error(self) -> float:
        """Over the tokens that are read; 0 when there are none."""
        errors = [token.relative_error for token in self.tokens if token.relative_error is not None]
        return sum(errors) / len(errors) if errors else 0.0


def result_of(reading: PromptReading) -> dict[str, Any]:
    """What is stored of an engine's reading: plain JSON, features as [index, activation]."""
    return {
        "tokens": [
            {
                "text": token.text,
                "special": token.special,
                "active_count": token.active_count,
                "relative_error": token.relative_error,
                "features": [[feature.index, feature.activation] for feature in token.features],
            }
            for token in reading.tokens
        ]
    }


def reading_of(analysis: Analysis) -> Reading:
    """The reading of a finished analysis, with the labels of today; one query per ten thousand features."""
    tokens = (analysis.result or {"tokens": []})["tokens"]
    indices = {index for token in tokens for index, _ in token["features"]}
    known = known_features(analysis.experiment_id, indices)
    return Reading(tuple(_token(position, token, known) for position, token in enumerate(tokens)))


def known_features(experiment_id: int, indices: Iterable[int]) -> dict[int, KnownFeature]:
    """What the catalogue knows of the features with these indices; those it leaves out are there without label."""
    wanted = sorted(set(indices))
    known = {index: KnownFeature(experiment_id, index) for index in wanted}
    label = Label.objects.filter(feature=OuterRef("pk"), is_current=True).values("text")[:1]
    catalogue = Feature.objects.filter(experiment=experiment_id).annotate(label=Subquery(label))
    for start in range(0, len(wanted), LOOK_UP_AT_ONCE):
        rows = catalogue.filter(index__in=wanted[start : start + LOOK_UP_AT_ONCE])
        for index, *facts in rows.values_list("index", "pk", "label", "max_activation", "concept", "concept_f1"):
            known[index] = KnownFeature(experiment_id, index, *facts)
    return known


def _token(position: int, token: dict[str, Any], known: dict[int, KnownFeature]) -> ReadToken:
    features = tuple(ReadFeature(known[index], activation) for index, activation in token["features"])
    return ReadToken(
        position, token["text"], token["special"], token["active_count"], token["relative_error"], features
    )
