"""Where documents come from, and which of them are held out: never trained on, only measured on.

The built-in corpus has a seed of its own for held-out documents. Elsewhere a hash of a document's text decides, so that
identical documents are on the same side and the choice does not depend on how much of a corpus is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import sha256_of
from experiments.engine.config import CorpusConfig
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.documents import ending_of, read_documents

Wanted: TypeAlias = Callable[[bool], bool]
Offsets: TypeAlias = list[tuple[int, int]]


@dataclass(frozen=True)
class SourceDocument:
    """A document with its number in its part of the corpus, and its kind where the corpus knows kinds."""

    number: int
    text: str
    held_out: bool
    kind: str | None = None


class DocumentSource(Protocol):
    """A corpus to read from.

    `identity` is equal for two sources exactly when they give the same documents; `concepts` are the names of the
    concepts planted in the corpus, none for any but the built-in one.
    """

    @property
    def identity(self) -> dict[str, Any]: ...

    @property
    def concepts(self) -> tuple[str, ...]: ...

    def documents(self, wanted: Wanted) -> Iterator[SourceDocument]:
        """Yields documents of the training and held-out part for as long as `wanted(held_out)` asks for them."""

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        """Which concepts each token [start, stop) of a held-out document carries: [tokens, concepts]."""


@dataclass(frozen=True)
class PlainSource:
    """Texts from a file or the hub, split by a hash of each text."""

    identity: dict[str, Any]
    read: Callable[[], Iterable[str]]
    held_out_share: float
    concepts: tuple[str, ...] = ()

    def documents(self, wanted: Wanted) -> Iterator[SourceDocument]:
        for number, text in enumerate(self.read()):
            held_out = is_held_out(text, self.held_out_share)
            if wanted(held_out):
                yield SourceDocument(number, text, held_out)
            elif not wanted(not held_out):
                return

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        return np.zeros((len(offsets), 0), bool)


def is_held_out(text: str, share: float) -> bool:
    """Whether a document belongs to the held-out `share` of its corpus."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def open_source(corpus: CorpusConfig, held_out_share: float, path: Path | None) -> DocumentSource:
    """The source that `corpus` names; `path` is the file of an upload.

    Raises CorpusError when an upload has no file any more, and HubError when the hub cannot say what a data set is.
    """
    # Imported where they are needed: `datasets` takes a second to load, the built-in corpus builds large tables.
    if corpus.source == "builtin":
        from experiments.engine.builtin_documents import BuiltinSource  # noqa: PLC0415

        return BuiltinSource()
    identity = {"held_out_share": held_out_share, "column": corpus.column}
    if corpus.source == "hub":
        from experiments.engine.hub_corpus import data_set_commit, stream_documents  # noqa: PLC0415

        commit = data_set_commit(corpus)
        identity |= {"hub": corpus.name, "configuration": corpus.configuration, "split": corpus.split, "commit": commit}
        return PlainSource(identity, lambda: stream_documents(corpus, commit), held_out_share)
    if path is None or not path.is_file():
        raise CorpusError("The file of this corpus is no longer there; upload it again.")
    identity |= {"file": corpus.content_hash or sha256_of(path), "format": ending_of(path)}
    return PlainSource(identity, lambda: read_documents(path, corpus.column), held_out_share)
