"""The harvested text as arrays to count in, cut into two halves by document: one to explain from, one to test on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.activation_index.files import IndexFiles
from features.activation_index.text import Positions, Text, text_of
from features.explaining.token_classes import CLASSES, classes_of

Flags = NDArray[np.bool_]

# More text makes an explanation slower and no better.
MOST_POSITIONS = 2_000_000
NOTHING = -1  # the token before the first of a passage, and after its last


@dataclass(frozen=True)
class HarvestView:
    """Arrays over all positions of the text. Documents with an even number explain, those with an odd one test."""

    text: Text
    vocabulary: list[str]

    @classmethod
    def of(cls, files: IndexFiles) -> HarvestView:
        """Raises IndexUnavailable."""
        text = text_of(files)
        part = replace(text, tokens=text.tokens[:MOST_POSITIONS], read=text.read[:MOST_POSITIONS])
        return cls(part, files.vocabulary())

    def without(self, documents: Collection[int]) -> HarvestView:
        """The same text, in which some documents neither explain nor test."""
        read = self.text.read & ~np.isin(self.document, list(documents))
        return replace(self, text=replace(self.text, read=read))

    @cached_property
    def document(self) -> Positions:
        return self.text.document_at(np.arange(len(self.text.tokens)))

    @cached_property
    def explains(self) -> Flags:
        """Positions to explain from."""
        explains: Flags = self.text.read & (self.document % 2 == 0) & (self.document >= 0)
        return explains

    @cached_property
    def tests(self) -> Flags:
        """Positions to test on."""
        tests: Flags = self.text.read & (self.document % 2 == 1)
        return tests

    def test_documents(self) -> list[tuple[int, int, NDArray[np.integer]]]:
        """Number, first position and token ids of each document to test on."""
        rows = zip(self.text.documents.tolist(), self.text.starts.tolist(), self.text.lengths.tolist(), strict=True)
        return [
            (number, start, self.text.tokens[start : start + length])
            for number, start, length in rows
            if number % 2 == 1 and start < len(self.text.tokens)
        ]

    @cached_property
    def test_positions(self) -> Positions:
        return np.flatnonzero(self.tests)

    @cached_property
    def passage(self) -> Positions:
        """A number for each passage (one document in one window); tokens of different ones are no context."""
        window = np.arange(len(self.text.tokens)) // self.text.context_length
        changes = (np.diff(self.document, prepend=NOTHING) != 0) | (np.diff(window, prepend=NOTHING) != 0)
        return np.cumsum(changes)

    @cached_property
    def token(self) -> Positions:
        return self.text.tokens.astype(np.int64)

    @cached_property
    def before(self) -> Positions:
        """The token before each; NOTHING at the beginning of a passage."""
        return self._neighbour(1)

    @cached_property
    def after(self) -> Positions:
        """The token after each; NOTHING at the end of a passage."""
        return self._neighbour(-1)

    @cached_property
    def token_class(self) -> Positions:
        classes: Positions = classes_of(self.vocabulary).astype(np.int64)[self.text.tokens]
        return classes

    @cached_property
    def class_before(self) -> Positions:
        """Of the token before each; one more than the last class at the beginning of a passage."""
        classes = classes_of(self.vocabulary).astype(np.int64)
        return np.where(self.before == NOTHING, len(CLASSES), classes[np.maximum(self.before, 0)])

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of document, where the corpus knows them."""
        return sorted({kind for kind in self.text.kinds if kind})

    @cached_property
    def kind(self) -> Positions:
        """The kind of each position's document, an index into `kinds`; NOTHING where it is unknown."""
        codes = {name: code for code, name in enumerate(self.kinds)}
        by_row = np.array([codes.get(kind or "", NOTHING) for kind in self.text.kinds] or [NOTHING], np.int64)
        rows = np.maximum(np.searchsorted(self.text.starts, np.arange(len(self.token)), side="right") - 1, 0)
        return np.where(self.document >= 0, by_row[rows], NOTHING)

    @cached_property
    def offset(self) -> Positions:
        """The place of each token in its passage, from 0."""
        first = np.flatnonzero(np.diff(self.passage, prepend=0) != 0)
        offsets: Positions = np.arange(len(self.token)) - first[self.passage - 1]
        return offsets

    @cached_property
    def inside(self) -> Positions:
        """0: outside, 1: inside quotation marks, 2: inside brackets, by what was opened before in the passage."""
        quotes = self._opened("“«", "”»", '"')
        brackets = self._opened("([{", ")]}", "")
        return np.where(brackets, 2, np.where(quotes, 1, 0))

    def _opened(self, opening: str, closing: str, both: str) -> Flags:
        opens = self._count_of(opening)
        closes = self._count_of(closing)
        toggles = self._count_of(both) if both else np.zeros_like(opens)
        first = np.flatnonzero(np.diff(self.passage, prepend=0) != 0)
        depth, turns = np.cumsum(opens - closes), np.cumsum(toggles)
        before_depth, before_turns = _before(depth, opens - closes), _before(turns, toggles)
        start = first[self.passage - 1]
        inside_depth = before_depth - before_depth[start] > 0
        opened: Flags = inside_depth | ((before_turns - before_turns[start]) % 2 == 1)
        return opened

    def _count_of(self, characters: str) -> Positions:
        counts = np.array([sum(map(text.count, characters)) for text in self.vocabulary], np.int64)
        found: Positions = counts[self.text.tokens]
        return found

    def _neighbour(self, distance: int) -> Positions:
        moved = np.roll(self.token, distance)
        same = np.roll(self.passage, distance) == self.passage
        same[0 if distance > 0 else -1] = False
        return np.where(same, moved, NOTHING)


def _before(total: Positions, own: Positions) -> Positions:
    """A running total without what the token itself adds."""
    return total - own
