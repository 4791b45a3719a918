"""Leaving out documents that have been read before: of identical ones only the first counts.

Hashes of the documents are kept in a file, so that memory stays the same however long the corpus is. No torch.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.document_sources import (
    DocumentSource,
    DocumentStream,
    LeftOut,
    Offsets,
    SourceDocument,
    Wanted,
)

HASH_BYTES = 16  # at a billion documents, two different ones meet with a chance of 1 in 10^21
CACHE_KIB = 64 * 1024


class SeenDocuments:
    """The hashes of distinct documents, in a file, in the order in which they came."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        # A worker's generator may be closed from another thread than the one that began it.
        self._table = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("CREATE TABLE IF NOT EXISTS seen (hash BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def keep_first(self, count: int) -> None:
        """Forgets all but the first `count`."""
        self.count = count
        self._table.execute("DELETE FROM seen WHERE number >= ?", (count,))

    def is_new(self, text: str) -> bool:
        """Whether the text has not been asked about before."""
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=HASH_BYTES).digest()
        new = self._table.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, self.count)).rowcount > 0
        self.count += new
        return new

    def save(self) -> None:
        """Brings everything so far to disk."""
        self._table.execute("COMMIT")
        self._table.execute("BEGIN")

    def close(self) -> None:
        self._table.close()


@dataclass(frozen=True)
class DistinctSource:
    """A source without the documents that it gave before, which are noted in `seen`."""

    source: DocumentSource
    seen: SeenDocuments
    identity: dict[str, Any] = field(default_factory=dict)

    @property
    def concepts(self) -> tuple[str, ...]:
        return self.source.concepts

    def documents(self, wanted: Wanted, position: Any = None) -> DocumentStream:
        return _DistinctDocuments(self, wanted, position)

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        return self.source.planted(document, offsets)


class _DistinctDocuments:
    def __init__(self, source: DistinctSource, wanted: Wanted, position: Any) -> None:
        place = position or {"inner": None, "seen": 0, "duplicates": [0, 0]}
        self._inner = source.source.documents(wanted, place["inner"])
        self._seen, self._duplicates = source.seen, list(place["duplicates"])  # of training, of held-out documents
        self._seen.keep_first(place["seen"])

    def __iter__(self) -> Iterator[SourceDocument]:
        for document in self._inner:
            if self._seen.is_new(document.text):
                yield replace(document, left_out=LeftOut(document.left_out.blank, *self._duplicates))
            else:
                self._duplicates[document.held_out] += 1

    @property
    def left_out(self) -> LeftOut:
        return LeftOut(self._inner.left_out.blank, *self._duplicates)

    def position(self) -> Any:
        """Saves the hashes too, so that the position and the file agree."""
        self._seen.save()
        return {"inner": self._inner.position(), "seen": self._seen.count, "duplicates": self._duplicates}
