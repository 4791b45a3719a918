"""The harvested text: which token stands where, and which document and window it belongs to.

A position is window * context_length + offset. A document lies on consecutive positions, over as many windows as it
needs. The ids of all tokens are kept in memory (2 to 4 bytes each) for the indexes asked last.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.activation_index.files import IndexFiles, readable, version_of

NO_DOCUMENT = -1  # where padding says which document it is from
INDEXES_IN_MEMORY = 2

_TOKENS = "SELECT token, read FROM read_parquet($tokens)"
_CONTEXT_LENGTH = 'SELECT count(*) FROM read_parquet($tokens) WHERE "window" = 0'
_DOCUMENTS = "SELECT document, start, tokens, kind FROM read_parquet($documents) ORDER BY start"

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """Arrays over positions and over documents in the order of the text."""

    tokens: NDArray[Any]  # [positions] ids
    read: NDArray[np.bool_]  # [positions] whether the SAE read it: not special tokens, padding and outliers
    context_length: int
    documents: NDArray[np.int32]  # [documents] their numbers
    starts: Positions  # [documents] their first positions
    lengths: NDArray[np.int32]  # [documents]
    kinds: tuple[str | None, ...]  # of each document

    def document_at(self, positions: Positions) -> NDArray[np.int64]:
        """The number of the document at each position; NO_DOCUMENT for padding."""
        rows = np.maximum(np.searchsorted(self.starts, positions, side="right") - 1, 0)
        inside = positions < self.starts[rows] + self.lengths[rows]
        return np.where(inside, self.documents[rows], NO_DOCUMENT)

    def row_of(self, document: int) -> int | None:
        """Where a document is in the arrays of documents."""
        found = np.flatnonzero(self.documents == document)
        return int(found[0]) if len(found) else None

    def kind_of(self, document: int) -> str | None:
        row = self.row_of(document)
        return None if row is None else self.kinds[row]

    def passage_at(self, position: int) -> tuple[int, int]:
        """The first position of the same document in the same window, and the one after the last.

        Tokens of another document or window are no context: the model did not see them.
        """
        window = position // self.context_length * self.context_length
        first, stop = window, min(window + self.context_length, len(self.tokens))
        row = max(0, int(np.searchsorted(self.starts, position, side="right")) - 1)
        start, end = int(self.starts[row]), int(self.starts[row] + self.lengths[row])
        return (max(first, start), min(stop, end)) if start <= position < end else (max(first, end), stop)

    @cached_property
    def tokens_read(self) -> int:
        return int(np.count_nonzero(self.read))

    @cached_property
    def occurrences(self) -> NDArray[np.int64]:
        """How often every token id stands among the tokens that were read."""
        return np.bincount(self.tokens[self.read])

    @cached_property
    def read_at_offset(self) -> NDArray[np.int64]:
        """How many tokens were read at every offset in a window: [context_length]."""
        return np.bincount(np.flatnonzero(self.read) % self.context_length, minlength=self.context_length)


def text_of(files: IndexFiles) -> Text:
    """The text of an index, read once. Raises IndexUnavailable."""
    with readable():
        return _read(files, version_of(files.folder.tokens))


@functools.lru_cache(maxsize=INDEXES_IN_MEMORY)
def _read(files: IndexFiles, version: tuple[int, int]) -> Text:
    found = files.columns(_TOKENS)
    tokens, documents = found["token"], files.rows(_DOCUMENTS)
    largest = int(tokens.max(initial=0))
    numbers, starts, lengths, kinds = zip(*documents, strict=True) if documents else ((), (), (), ())
    return Text(
        tokens=tokens.astype(np.uint16 if largest < 2**16 else np.int32),
        read=found["read"],
        context_length=int(files.rows(_CONTEXT_LENGTH)[0][0]),
        documents=np.array(numbers, np.int32),
        starts=np.array(starts, np.int64),
        lengths=np.array(lengths, np.int32),
        kinds=tuple(kinds),
    )
