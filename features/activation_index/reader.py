"""The questions that can be asked of an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.engine.artifacts import ExperimentFolder
from features.activation_index import co_firing, counts, examples, near_misses, passages
from features.activation_index.co_firing import CoFiring
from features.activation_index.counts import Counts, Histogram, TokenUse, WindowBin
from features.activation_index.examples import ExamplePage, Stratum
from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings, firings_of
from features.activation_index.near_misses import NearMiss
from features.activation_index.passages import CARD_CONTEXT, PAGE_CONTEXT, Context, Passage
from features.activation_index.text import text_of

_MOST_FREQUENT = """
    SELECT "index", firings FROM (
        SELECT "index", firings FROM read_parquet($summaries) ORDER BY firings DESC, "index" LIMIT $limit
    ) ORDER BY "index"
"""
_SUMMARIES = """
    SELECT * FROM read_parquet($summaries)
    WHERE "index" IN (SELECT unnest($indices::INTEGER[])) ORDER BY "index"
"""


class ActivationIndex:
    """Answers questions about one experiment's features from its files. Cheap to make; reads nothing until asked.

    Every method raises IndexUnavailable. What is read about one feature is kept for the next question about it, so make
    one for each request; what is kept for the next request (where things lie in the files, the text) is shared.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self._files = IndexFiles(folder)
        self._last: tuple[int, Firings] | None = None

    @property
    def files(self) -> IndexFiles:
        return self._files

    def examples(
        self,
        feature: int,
        *,
        rank: int = 1,
        count: int = 10,
        one_per_document: bool = True,
        context: Context = PAGE_CONTEXT,
    ) -> ExamplePage:
        """The examples of `feature` with the ranks `rank` to `rank + count - 1`; rank 1 is the strongest.

        With `one_per_document` a document counts once, with its strongest token; otherwise every firing counts.
        """
        return examples.strongest(self._files, feature, rank, count, one_per_document, context)

    def best_examples(self, first: int, last: int, count: int = 3) -> dict[int, ExamplePage]:
        """The best `count` examples, one per document, of every live feature from index `first` to `last`.

        One query whatever the range; memory grows with the firings in it.
        """
        return examples.best_of_range(self._files, first, last, count, CARD_CONTEXT)

    def strata(
        self, feature: int, *, parts: int = 5, count: int = 3, seed: int = 0, context: Context = PAGE_CONTEXT
    ) -> list[Stratum]:
        """The firings cut at true quantiles into `parts` of equally many, strongest first, with `count` examples of
        each: a seeded choice, one per document where possible."""
        return examples.strata(self._files, self._firings(feature), parts, count, seed, context)

    def near_misses(
        self, feature: int, *, count: int = 5, seed: int = 0, context: Context = PAGE_CONTEXT
    ) -> list[NearMiss]:
        """Tokens like those that it fires on, on which it is silent: a seeded choice, one per document."""
        return near_misses.near_misses(self._files, self._firings(feature), count, seed, context)

    def counts(self, feature: int) -> Counts:
        """Tokens, firings, documents, density with its interval."""
        return counts.counts(self._files, self._firings(feature))

    def histogram(self, feature: int) -> Histogram:
        """The activations above zero on a logarithmic axis, and how many are zero."""
        return counts.histogram(self._files, self._firings(feature))

    def tokens_fired_on(self, feature: int, limit: int = 20) -> list[TokenUse]:
        """The tokens on which it fires most often, with the shares of its firings and of their occurrences."""
        return counts.tokens_fired_on(self._files, self._firings(feature), limit)

    def window_bins(self, feature: int, bins: int = 16) -> list[WindowBin]:
        """How often it fires at the beginning of a window, and so on to the end."""
        return counts.window_bins(self._files, self._firings(feature), bins)

    def co_firing(self, feature: int, *, within: int = 0, limit: int = 10) -> CoFiring:
        """The features that fire on the same tokens, or within so many tokens, by Jaccard."""
        return co_firing.co_firing(self._files, feature, self._firings(feature), within, limit)

    def document_passage(self, feature: int, position: int, most_tokens: int = 2_000) -> Passage | None:
        """The document at a position with the activations of `feature`; None where there is none."""
        return passages.document_passage(self._files, self._firings(feature), position, most_tokens)

    def most_frequent(self, limit: int) -> list[tuple[int, int]]:
        """(index, firings) of the `limit` most frequent features (0: of all), by index."""
        return self._files.rows(_MOST_FREQUENT, limit=limit or 2**31 - 1)

    def summaries(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """What the harvest says about each of these features, by index."""
        return self._files.records(_SUMMARIES, indices=list(indices))

    def token_count(self) -> int:
        """How many tokens the SAE read."""
        return text_of(self._files).tokens_read

    def _firings(self, feature: int) -> Firings:
        if self._last is None or self._last[0] != feature:
            self._last = feature, firings_of(self._files, feature)
        return self._last[1]
