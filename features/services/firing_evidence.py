"""What the activation index says about one feature, for page, API and files alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from experiments.services.folders import experiment_folder
from features.activation_index import (
    ActivationIndex,
    CoFiringFeature,
    ExamplePage,
    IndexUnavailable,
    NearMiss,
    Passage,
    Stratum,
    TokenUse,
    WindowBin,
)
from features.models import Feature
from features.services.evidence import labels_at
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Conflict, NotFound

Item = TypeVar("Item")
MAXIMUM_RANK = 2**31 - 1
MAXIMUM_SEED = 2**31 - 1
MAXIMUM_POSITION = 2**62
MOST_TOKENS_NEAR = 64
MOST_EXAMPLES = 100

EXAMPLES, STRATA, EXAMPLES_PER_STRATUM, NEAR_MISSES, CO_FIRING, TOKENS = 10, 5, 3, 5, 10, 20


class IndexMissing(Conflict):
    """The activation index is missing or damaged; harvesting again brings it back."""


@dataclass(frozen=True)
class FiringTogether:
    """A feature that fires near another; `in_catalogue` is False where MAX_FEATURES left it out."""

    counted: CoFiringFeature
    label: str | None
    in_catalogue: bool


@dataclass(frozen=True)
class TogetherList:
    """`tokens_near` tokens are at most `within` tokens away from a firing of the feature, in the same window."""

    within: int
    tokens_near: int
    items: tuple[FiringTogether, ...]


@dataclass(frozen=True)
class Drawn(Generic[Item]):
    """A random choice, and the seed that gives it again."""

    seed: int
    items: list[Item]

    @property
    def next_seed(self) -> int:
        return (self.seed + 1) % (MAXIMUM_SEED + 1)


@dataclass(frozen=True)
class DocumentAt:
    position: int
    passage: Passage


class FiringEvidence:
    """Where one feature fires, and where it does not.

    Numbers are taken as they were typed. Every method raises Refused for one that is out of range, and IndexMissing.
    """

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._index = ActivationIndex(experiment_folder(feature.experiment_id))

    def examples(
        self, rank: object = 1, count: object = EXAMPLES, *, one_per_document: bool = True, rank_field: str = "rank"
    ) -> ExamplePage:
        """`count` examples from `rank` (1 is the strongest) on, which the caller's input names `rank_field`."""
        first = parse_integer(rank, field=rank_field, minimum=1, maximum=MAXIMUM_RANK)
        limit = _count(count)
        with _index_is_there():
            return self._index.examples(self._feature.index, rank=first, count=limit, one_per_document=one_per_document)

    def strata(self, seed: object = 0, count: object = EXAMPLES_PER_STRATUM) -> Drawn[Stratum]:
        """The firings in parts of equally many by activation, strongest first, with `count` examples of each."""
        chosen, limit = _seed(seed), _count(count)
        with _index_is_there():
            found = self._index.strata(self._feature.index, parts=STRATA, count=limit, seed=chosen)
        return Drawn(chosen, found)

    def near_misses(self, seed: object = 0, count: object = NEAR_MISSES) -> Drawn[NearMiss]:
        """`count` tokens like those that it fires on, on which it is silent."""
        chosen, limit = _seed(seed), _count(count)
        with _index_is_there():
            found = self._index.near_misses(self._feature.index, count=limit, seed=chosen)
        return Drawn(chosen, found)

    def co_firing(self, within: object = 0, count: object = CO_FIRING) -> TogetherList:
        """The features that fire on the same tokens, or at most `within` tokens away, by Jaccard."""
        distance = parse_integer(within, field="within", minimum=0, maximum=MOST_TOKENS_NEAR)
        limit = _count(count)
        with _index_is_there():
            found = self._index.co_firing(self._feature.index, within=distance, limit=limit)
        labels = labels_at(self._feature.experiment_id, [item.index for item in found.items])
        items = tuple(FiringTogether(item, labels.get(item.index), item.index in labels) for item in found.items)
        return TogetherList(found.within, found.tokens_near, items)

    def tokens(self, count: object = TOKENS) -> list[TokenUse]:
        """The tokens on which it fires most often, with precision (share of firings) and recall (of occurrences)."""
        limit = _count(count)
        with _index_is_there():
            return self._index.tokens_fired_on(self._feature.index, limit)

    def window(self) -> list[WindowBin]:
        """How often it fires at the beginning of a window, and so on to the end."""
        with _index_is_there():
            return self._index.window_bins(self._feature.index)

    def document(self, position: object) -> DocumentAt:
        """The text around a position, as far as its document goes. Raises NotFound too."""
        place = parse_integer(position, field="position", minimum=0, maximum=MAXIMUM_POSITION)
        with _index_is_there():
            passage = self._index.document_passage(self._feature.index, place)
        if passage is None:
            raise NotFound("There is no document at this position of the harvested text.")
        return DocumentAt(place, passage)


def _count(count: object) -> int:
    return parse_integer(count, field="count", minimum=1, maximum=MOST_EXAMPLES)


def _seed(seed: object) -> int:
    return parse_integer(seed, field="seed", minimum=0, maximum=MAXIMUM_SEED)


@contextmanager
def _index_is_there() -> Iterator[None]:
    try:
        yield
    except IndexUnavailable as problem:
        raise IndexMissing(str(problem)) from None
