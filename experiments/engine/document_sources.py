"""Where documents come from, and which of them are held out: never trained on, only measured on.

The built-in corpus has a seed of its own for held-out documents. Elsewhere a hash of a document's text decides, so that
identical documents are on the same side and the choice does not depend on how much of a corpus is read.

Reading can stop after any document and go on in another process: a stream says its position, which is plain JSON, and a
source opens a stream at a position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import sha256_of
from experiments.engine.config import CorpusConfig
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.documents import ending_of, read_texts

Wanted: TypeAlias = Callable[[bool], bool]
Offsets: TypeAlias = list[tuple[int, int]]


class LeftOut(NamedTuple):
    """Documents that were passed over, counted from the beginning of the corpus; duplicates of each part."""

    blank: int = 0
    training_duplicates: int = 0
    held_out_duplicates: int = 0


NOTHING_LEFT_OUT = LeftOut()


@dataclass(frozen=True)
class SourceDocument:
    """A document with its number in its part of the corpus, its kind where the corpus knows kinds, and what was left
    out before it."""

    number: int
    text: str
    held_out: bool
    kind: str | None = None
    left_out: LeftOut = NOTHING_LEFT_OUT


class TextStream(Protocol):
    """Texts in order, blank ones too. `position()` is plain JSON: what follows the text that was taken last."""

    def __iter__(self) -> Iterator[str]: ...

    def position(self) -> Any: ...


class DocumentStream(Protocol):
    """Documents in order. `position()` is plain JSON: what follows the document that was taken last."""

    @property
    def left_out(self) -> LeftOut: ...

    def __iter__(self) -> Iterator[SourceDocument]: ...

    def position(self) -> Any: ...


class DocumentSource(Protocol):
    """A corpus to read from.

    `identity` is equal for two sources exactly when they give the same documents; `concepts` are the names of the
    concepts planted in the corpus, none for any but the built-in one.
    """

    @property
    def identity(self) -> dict[str, Any]: ...

    @property
    def concepts(self) -> tuple[str, ...]: ...

    def documents(self, wanted: Wanted, position: Any = None) -> DocumentStream:
        """Documents of the training and held-out part, from `position` on, as long as `wanted(held_out)` asks."""

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        """Which concepts each token [start, stop) of a held-out document carries: [tokens, concepts]."""


@dataclass(frozen=True)
class PlainSource:
    """Texts from a file or the hub, split by a hash of each text. `read` opens them at a position, or at the start."""

    identity: dict[str, Any]
    read: Callable[[Any], TextStream]
    held_out_share: float
    concepts: tuple[str, ...] = ()

    def documents(self, wanted: Wanted, position: Any = None) -> DocumentStream:
        return _PlainDocuments(self, wanted, position)

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        return np.zeros((len(offsets), 0), bool)


class _PlainDocuments:
    def __init__(self, source: PlainSource, wanted: Wanted, position: Any) -> None:
        place = position or {"texts": None, "number": 0, "blank": 0}
        self._texts = source.read(place["texts"])
        self._share, self._wanted = source.held_out_share, wanted
        self._number = place["number"]
        self.left_out = LeftOut(place["blank"])

    def __iter__(self) -> Iterator[SourceDocument]:
        for text in self._texts:
            if not text.strip():
                self.left_out = LeftOut(self.left_out.blank + 1)
                continue
            number, self._number = self._number, self._number + 1
            held_out = is_held_out(text, self._share)
            if self._wanted(held_out):
                yield SourceDocument(number, text, held_out, left_out=self.left_out)
            elif not self._wanted(not held_out):
                return

    def position(self) -> Any:
        return {"texts": self._texts.position(), "number": self._number, "blank": self.left_out.blank}


class CountedTexts:
    """Texts that can be read from the start any number of times; the position is how many were taken."""

    def __init__(self, read: Callable[[], Iterator[str]], position: Any = None) -> None:
        self._read, self._taken = read, position or 0

    def __iter__(self) -> Iterator[str]:
        for text in islice(self._read(), self._taken, None):
            self._taken += 1
            yield text

    def position(self) -> Any:
        return self._taken


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
    identity = {"held_out_share": held_out_share, "column": corpus.column, "chat": corpus.chat_template}
    if corpus.source == "hub":
        return _hub_source(corpus, held_out_share, identity)
    if path is None or not path.is_file():
        raise CorpusError("The file of this corpus is no longer there; upload it again.")
    identity |= {"file": corpus.content_hash or sha256_of(path), "format": ending_of(path)}

    def read() -> Iterator[str]:
        return read_texts(path, corpus.column, chat=corpus.chat_template)

    return PlainSource(identity, lambda position: CountedTexts(read, position), held_out_share)


def _hub_source(corpus: CorpusConfig, held_out_share: float, identity: dict[str, Any]) -> PlainSource:
    from experiments.engine.hub_corpus import HubTexts, data_set_commit  # noqa: PLC0415 - as above

    commit = data_set_commit(corpus)
    identity |= {"hub": corpus.name, "configuration": corpus.configuration, "split": corpus.split, "commit": commit}
    # The library does not promise that both ways give the rows in the same order.
    identity["streaming"] = corpus.streaming
    return PlainSource(identity, lambda position: HubTexts(corpus, commit, position), held_out_share)
