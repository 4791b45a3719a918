"""Making the windows of a corpus: read, split, encoded, packed; and after an interruption, gone on with.

Every few seconds, and when the generator is closed, the place in the corpus and everything that is not in a file yet
are saved. So a killed process costs seconds, and the windows are the same bit for bit as if nothing had happened.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import write_json
from experiments.engine.conversations import messages_of
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.document_sources import (
    DocumentSource,
    DocumentStream,
    LeftOut,
    Offsets,
    SourceDocument,
    Wanted,
)
from experiments.engine.duplicates import DistinctSource, SeenDocuments
from experiments.engine.records import Progress
from experiments.engine.text_tokenizer import TextTokenizer
from experiments.engine.windows import DocumentTokens, DocumentWindowWriter, WindowWriter

# Characters encoded at once: enough to keep the tokenizer's threads busy, little enough to react within a second.
BATCH_CHARACTERS = 200_000
BATCH_SECONDS = 0.5
SAVE_SECONDS = 10.0
TRAINING, HELD_OUT = "training", "held_out"
MANIFEST, STATE, SEEN = "windows.json", "state.json", "seen.sqlite3"
BY_DOCUMENT, BY_WINDOW = "document", "window"


@dataclass(frozen=True)
class Recipe:
    """What the windows are made from, and how many text tokens each part should have; a corpus may hold fewer."""

    source: DocumentSource
    tokenizer: TextTokenizer
    context_length: int
    packing: str
    chat: bool
    deduplicate: bool
    training_tokens: int
    held_out_tokens: int
    held_out_share: float


def make_windows(folder: Path, recipe: Recipe) -> Generator[Progress, None, None]:
    """Fills `folder` with windows and their manifest, from where an earlier attempt left it; yields Progress.

    Raises CorpusError when the corpus holds less than two windows.
    """
    state = _saved_state(folder)
    split = state["split"] if state else BY_DOCUMENT
    if split == BY_DOCUMENT:
        written = yield from _write_windows(folder, recipe, split, state)
        if not all(written.windows.values()):
            # So few documents that all are on one side: read them as one and hold out the last windows.
            split, state = BY_WINDOW, None
            (folder / STATE).unlink(missing_ok=True)
            shutil.rmtree(folder / HELD_OUT)
    if split == BY_WINDOW:
        undivided = replace(recipe, source=_Undivided(recipe.source))
        written = yield from _write_windows(folder, undivided, split, state)
        (folder / STATE).unlink(missing_ok=True)  # from here on the files are no longer those that it describes
        _hold_out_last_windows(folder, written, recipe)
    read = {name: value for name, value in asdict(written).items() if name not in {"kinds", "windows"}}
    manifest = {"split": split, "concepts": recipe.source.concepts, "kinds": written.kinds, "read": read}
    write_json(folder / MANIFEST, manifest)
    for name in (STATE, SEEN):
        (folder / name).unlink(missing_ok=True)


@dataclass
class _Written:
    """What has been written so far; the counts by part are of documents and windows."""

    documents: dict[str, int] = field(default_factory=lambda: {TRAINING: 0, HELD_OUT: 0})
    windows: dict[str, int] = field(default_factory=lambda: {TRAINING: 0, HELD_OUT: 0})
    tokens_read: int = 0
    cut_tokens: int = 0
    blank: int = 0
    duplicates: dict[str, int] = field(default_factory=lambda: {TRAINING: 0, HELD_OUT: 0})
    kinds: list[str] = field(default_factory=list)

    def count(self, document: SourceDocument, tokens: DocumentTokens) -> None:
        self.documents[_part(document.held_out)] += 1
        self.tokens_read += len(tokens.tokens)
        self.count_left_out(document.left_out, document.held_out)
        if document.kind and not document.held_out:
            self.kinds.append(document.kind)

    def count_left_out(self, left_out: LeftOut, held_out: bool) -> None:
        """What was passed over before a part's last document; so it does not depend on how far reading went ahead."""
        self.blank = left_out.blank
        duplicates = left_out.held_out_duplicates if held_out else left_out.training_duplicates
        self.duplicates[_part(held_out)] = duplicates


def _write_windows(
    folder: Path, recipe: Recipe, split: str, state: dict[str, Any] | None
) -> Generator[Progress, None, _Written]:
    with ExitStack() as stack:
        making = _Making(folder, recipe, split, state, stack)
        try:
            yield from making.run()
        except GeneratorExit:  # somebody wants to pause, and goes on later
            making.save()
            raise
        return making.finished()


class _Making:
    """The files that are being written, and the place in the corpus. Its state is plain JSON."""

    def __init__(
        self, folder: Path, recipe: Recipe, split: str, state: dict[str, Any] | None, stack: ExitStack
    ) -> None:
        self._folder, self._recipe, self._split = folder, recipe, split
        self._written = _Written(**state["written"]) if state else _Written()
        concept_bytes = -(-len(recipe.source.concepts) // 8)
        saved = state["writers"] if state else {TRAINING: None, HELD_OUT: None}
        self._writers = {
            part: stack.enter_context(closing(writer_for(recipe, folder / part, size, saved[part])))
            for part, size in ((TRAINING, 0), (HELD_OUT, concept_bytes))
        }
        self._wanted = {TRAINING: recipe.training_tokens, HELD_OUT: recipe.held_out_tokens}
        source = recipe.source
        if recipe.deduplicate:
            source = DistinctSource(source, stack.enter_context(closing(SeenDocuments(folder / SEEN))))
        self._documents = source.documents(self._is_wanted, state["position"] if state else None)
        self._saved_at = self._started = time.monotonic()
        self._done_before = self._done()

    def run(self) -> Iterator[Progress]:
        for batch in _batches(self._documents):
            for document, tokens in encode(batch, self._recipe):
                if self._is_wanted(document.held_out):
                    self._writers[_part(document.held_out)].add(tokens)
                    self._written.count(document, tokens)
            if time.monotonic() - self._saved_at >= SAVE_SECONDS:
                self.save()
            yield self._progress()
        for held_out in (False, True):
            if self._is_wanted(held_out):  # all there is of it was read, to the end
                self._written.count_left_out(self._documents.left_out, held_out)

    def save(self) -> None:
        """Windows first, then the state that speaks of them: whatever comes in between is cut off again."""
        state = {
            "split": self._split,
            "position": self._documents.position(),
            "writers": {part: writer.save() for part, writer in self._writers.items()},
            "written": asdict(self._written),
        }
        write_json(self._folder / STATE, state)
        self._saved_at = time.monotonic()

    def finished(self) -> _Written:
        self._written.windows = {part: writer.windows for part, writer in self._writers.items()}
        self._written.cut_tokens = sum(writer.cut_tokens for writer in self._writers.values())
        return self._written

    def _is_wanted(self, held_out: bool) -> bool:
        part = _part(held_out)
        return self._writers[part].text_tokens < self._wanted[part]

    def _done(self) -> int:
        return sum(min(writer.text_tokens, self._wanted[part]) for part, writer in self._writers.items())

    def _progress(self) -> Progress:
        done, wanted, seconds = self._done(), sum(self._wanted.values()), time.monotonic() - self._started
        rate = (done - self._done_before) / seconds if seconds > 0 and done > self._done_before else None
        left = (wanted - done) / rate if rate else None
        return Progress("capture", done, wanted, done, rate, left, "reading the corpus")


def writer_for(recipe: Recipe, folder: Path, concept_bytes: int, state: dict[str, Any] | None = None) -> WindowWriter:
    """The writer that packs as the recipe says."""
    kind = DocumentWindowWriter if recipe.packing == "one_document" else WindowWriter
    return kind(folder, recipe.tokenizer.frame, recipe.context_length, concept_bytes, state)


def _part(held_out: bool) -> str:
    return HELD_OUT if held_out else TRAINING


def _saved_state(folder: Path) -> dict[str, Any] | None:
    """What an earlier attempt saved; without it, whatever it wrote is of no use."""
    path = folder / STATE
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state


def _batches(documents: DocumentStream) -> Iterator[list[SourceDocument]]:
    """Documents in groups, each with enough characters or after enough seconds: a slow hub is no reason for silence.

    The stream is never read beyond the group that was given, so that its position is the end of that group.
    """
    batch: list[SourceDocument] = []
    characters, started = 0, time.monotonic()
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if characters >= BATCH_CHARACTERS or time.monotonic() - started >= BATCH_SECONDS:
            yield batch
            batch, characters, started = [], 0, time.monotonic()
    if batch:
        yield batch


def encode(batch: list[SourceDocument], recipe: Recipe) -> Iterator[tuple[SourceDocument, DocumentTokens]]:
    """The tokens of every document, in order; those of held-out documents with their planted concepts."""
    if recipe.chat:
        yield from _encode_conversations(batch, recipe)
    elif recipe.source.concepts:
        for held_out, group in groupby(batch, key=lambda document: document.held_out):
            encode_group = _encode_planted if held_out else _encode_texts
            yield from encode_group(list(group), recipe)
    else:
        yield from _encode_texts(batch, recipe)


def _encode_texts(batch: list[SourceDocument], recipe: Recipe) -> Iterator[tuple[SourceDocument, DocumentTokens]]:
    pieces = [(document, piece) for document in batch for piece in _pieces(document.text)]
    encoded = zip(pieces, recipe.tokenizer.encode([piece for _, piece in pieces]), strict=True)
    for _, parts in groupby(encoded, key=lambda part: part[0][0].number):
        whole = list(parts)
        document = whole[0][0][0]
        yield document, DocumentTokens(document.number, np.concatenate([tokens for _, tokens in whole]))


def _encode_planted(batch: list[SourceDocument], recipe: Recipe) -> Iterator[tuple[SourceDocument, DocumentTokens]]:
    texts = recipe.tokenizer.encode_with_offsets([document.text for document in batch])
    for document, text in zip(batch, texts, strict=True):
        concepts = np.packbits(recipe.source.planted(document, text.offsets), axis=1)
        yield document, DocumentTokens(document.number, text.ids, concepts)


def _encode_conversations(
    batch: list[SourceDocument], recipe: Recipe
) -> Iterator[tuple[SourceDocument, DocumentTokens]]:
    texts = recipe.tokenizer.encode_conversations([messages_of(document.text) for document in batch])
    for document, text in zip(batch, texts, strict=True):
        yield document, DocumentTokens(document.number, text.ids, special=text.special)


def _pieces(text: str) -> Iterator[str]:
    """A very long text in parts, cut before a space, so that encoding it does not hold everything up."""
    start = 0
    while len(text) - start > BATCH_CHARACTERS:
        cut = text.rfind(" ", start + 1, start + BATCH_CHARACTERS)
        stop = cut if cut > start else start + BATCH_CHARACTERS
        yield text[start:stop]
        start = stop
    yield text[start:]


@dataclass(frozen=True)
class _Undivided:
    """A source all of whose documents are for training."""

    source: DocumentSource
    identity: dict[str, Any] = field(default_factory=dict)
    concepts: tuple[str, ...] = ()

    def documents(self, wanted: Wanted, position: Any = None) -> DocumentStream:
        return _UndividedDocuments(self.source.documents(lambda _: wanted(False), position))

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        return self.source.planted(document, offsets)


@dataclass(frozen=True)
class _UndividedDocuments:
    inner: DocumentStream

    def __iter__(self) -> Iterator[SourceDocument]:
        return (replace(document, held_out=False) for document in self.inner)

    @property
    def left_out(self) -> LeftOut:
        return self.inner.left_out

    def position(self) -> Any:
        return self.inner.position()


def _hold_out_last_windows(folder: Path, written: _Written, recipe: Recipe) -> None:
    windows = written.windows[TRAINING]
    if windows < 2:
        raise _too_short(written, recipe)
    held_out = max(1, round(recipe.held_out_share * windows))
    for path in (folder / TRAINING).glob("*.npy"):
        rows = np.load(path)
        np.save(path, rows[:-held_out])
        np.save(folder / HELD_OUT / path.name, rows[-held_out:])


def _too_short(written: _Written, recipe: Recipe) -> CorpusError:
    length = recipe.context_length
    if recipe.packing == "one_document":
        return CorpusError("The corpus holds less than two documents, one to train on and one to measure on: add text.")
    return CorpusError(
        f"The corpus holds {written.tokens_read:,} tokens, and {2 * length:,} are needed, a window of {length:,} to "
        "train on and one to measure on: add text or choose a shorter context."
    )
