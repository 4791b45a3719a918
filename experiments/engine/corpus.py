"""From a corpus to windows of tokens on disk: read, split, encoded, packed, and kept for the next experiment.

Windows are cached under a name that is the hash of everything they depend on (corpus, tokenizer, length, amounts), so
experiments that read the same text share them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import write_json
from experiments.engine.config import ExperimentConfig
from experiments.engine.config.choices import FITS_THRESHOLD
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.document_sources import DocumentSource, Offsets, SourceDocument, Wanted, open_source
from experiments.engine.records import Progress
from experiments.engine.text_tokenizer import TextTokenizer
from experiments.engine.windows import DocumentTokens, Windows, WindowWriter, read_windows

# Characters encoded at once: enough to keep the tokenizer's threads busy, little enough to react within a second.
BATCH_CHARACTERS = 200_000
BATCH_SECONDS = 0.5
LAYOUT_VERSION = 1
TRAINING, HELD_OUT = "training", "held_out"
MANIFEST = "windows.json"
UNFINISHED = ".unfinished-"
ABANDONED_AFTER_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class WindowSet:
    """The windows of an experiment: those trained on, and those only measured on.

    `split` says how the two were kept apart ("document", or "window" where a corpus has too few documents), `kinds` are
    the kinds of the built-in corpus' training documents by number, `concepts` the names of its planted concepts.
    """

    training: Windows
    held_out: Windows
    split: str
    concepts: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class _Recipe:
    """What the windows are made from, and how many text tokens each part should have; a corpus may hold fewer."""

    source: DocumentSource
    tokenizer: TextTokenizer
    context_length: int
    training_tokens: int
    held_out_tokens: int

    @property
    def cache_key(self) -> str:
        key = {
            "layout": LAYOUT_VERSION,
            "corpus": self.source.identity,
            "tokenizer": self.tokenizer.fingerprint,
            "amounts": [self.context_length, self.training_tokens, self.held_out_tokens],
        }
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def prepare_windows(
    config: ExperimentConfig, tokenizer: TextTokenizer, corpus_path: Path | None, cache_folder: Path
) -> Generator[Progress, None, WindowSet]:
    """Returns the windows for `config`, from the cache or else made now; yields Progress in tokens meanwhile.

    `corpus_path` is the file of an uploaded corpus. Raises CorpusError when the corpus cannot be read or holds less
    than two windows, HubError when the hub fails. Closing the generator leaves nothing half made behind.
    """
    training = config.training
    source = open_source(config.corpus, training.held_out_share, corpus_path)
    wanted = max(training.tokens, config.harvest_tokens)
    held_out = max(1, config.evaluation_tokens, _threshold_tokens(config))
    recipe = _Recipe(source, tokenizer, config.context_length, wanted, held_out)
    folder = cache_folder / "windows" / recipe.cache_key
    if not (folder / MANIFEST).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as unfinished:
            made = Path(unfinished) / folder.name
            yield from _make_windows(made, recipe, training.held_out_share)
            _move_into_place(made, folder)
    return _open_windows(folder)


def _threshold_tokens(config: ExperimentConfig) -> int:
    """Held-out text for the fit of a threshold; no larger a share of the training than is held out of the documents."""
    if config.sae.architecture not in FITS_THRESHOLD:
        return 0
    return min(config.training.threshold_tokens, round(config.training.tokens * config.training.held_out_share))


def _make_windows(folder: Path, recipe: _Recipe, held_out_share: float) -> Generator[Progress, None, None]:
    split = "document"
    written = yield from _write_windows(folder, recipe)
    if not all(written.windows.values()):
        # So few documents that all are on one side: read them as one and hold out the last windows.
        split = "window"
        shutil.rmtree(folder)
        written = yield from _write_windows(folder, replace(recipe, source=_Undivided(recipe.source)))
        _hold_out_last_windows(folder, written, recipe.context_length, held_out_share)
    manifest = {"split": split, "concepts": recipe.source.concepts, "kinds": written.kinds}
    write_json(folder / MANIFEST, manifest)


@dataclass
class _Written:
    """What has been written so far; the counts are by `held_out`."""

    windows: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    tokens_read: int = 0
    kinds: list[str] = field(default_factory=list)


def _write_windows(folder: Path, recipe: _Recipe) -> Generator[Progress, None, _Written]:
    concept_bytes = -(-len(recipe.source.concepts) // 8)
    wanted = {False: recipe.training_tokens, True: recipe.held_out_tokens}
    written, started = _Written(), time.monotonic()
    with ExitStack() as stack:

        def writer(name: str, extra_bytes: int) -> WindowWriter:
            made = WindowWriter(folder / name, recipe.tokenizer.frame, recipe.context_length, extra_bytes)
            return stack.enter_context(closing(made))

        writers = {False: writer(TRAINING, 0), True: writer(HELD_OUT, concept_bytes)}

        def is_wanted(held_out: bool) -> bool:
            return writers[held_out].text_tokens < wanted[held_out]

        for batch in _batches(recipe.source.documents(is_wanted)):
            for document, tokens in _encode(batch, recipe):
                if not is_wanted(document.held_out):
                    continue
                writers[document.held_out].add(tokens)
                written.tokens_read += len(tokens.tokens)
                if document.kind and not document.held_out:
                    written.kinds.append(document.kind)
            done = sum(min(writers[held_out].text_tokens, wanted[held_out]) for held_out in writers)
            yield _progress(done, sum(wanted.values()), time.monotonic() - started)
        written.windows = {held_out: writer.windows for held_out, writer in writers.items()}
    return written


def _progress(done: int, wanted: int, seconds: float) -> Progress:
    rate = done / seconds if seconds > 0 and done else None
    left = (wanted - done) / rate if rate else None
    return Progress("capture", done, wanted, done, rate, left, "reading the corpus")


def _batches(documents: Iterator[SourceDocument]) -> Iterator[list[SourceDocument]]:
    """Documents in groups, each with enough characters or after enough seconds: a slow hub is no reason for silence."""
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


def _encode(batch: list[SourceDocument], recipe: _Recipe) -> Iterator[tuple[SourceDocument, DocumentTokens]]:
    """The tokens of every document; those of held-out documents with their planted concepts."""
    planted = [document for document in batch if document.held_out and recipe.source.concepts]
    plain = [document for document in batch if not (document.held_out and recipe.source.concepts)]
    pieces = [(document, piece) for document in plain for piece in _pieces(document.text)]
    encoded = zip(pieces, recipe.tokenizer.encode([piece for _, piece in pieces]), strict=True)
    for document, parts in groupby(encoded, key=lambda part: part[0][0]):
        yield document, DocumentTokens(document.number, np.concatenate([tokens for _, tokens in parts]))
    texts = recipe.tokenizer.encode_with_offsets([document.text for document in planted])
    for document, text in zip(planted, texts, strict=True):
        concepts = np.packbits(recipe.source.planted(document, text.offsets), axis=1)
        yield document, DocumentTokens(document.number, text.ids, concepts)


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

    def documents(self, wanted: Wanted) -> Iterator[SourceDocument]:
        for document in self.source.documents(lambda _: wanted(False)):
            yield replace(document, held_out=False)

    def planted(self, document: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        return self.source.planted(document, offsets)


def _hold_out_last_windows(folder: Path, written: _Written, context_length: int, share: float) -> None:
    windows = written.windows[False]
    if windows < 2:
        raise CorpusError(
            f"The corpus holds {written.tokens_read:,} tokens, and {2 * context_length:,} are needed, a window "
            f"of {context_length:,} to train on and one to measure on: add text or choose a shorter context."
        )
    held_out = max(1, round(share * windows))
    for path in (folder / TRAINING).glob("*.npy"):
        rows = np.load(path)
        np.save(path, rows[:-held_out])
        np.save(folder / HELD_OUT / path.name, rows[-held_out:])


def _open_windows(folder: Path) -> WindowSet:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return WindowSet(
        training=read_windows(folder / TRAINING),
        held_out=read_windows(folder / HELD_OUT),
        split=manifest["split"],
        concepts=tuple(manifest["concepts"]),
        kinds=tuple(manifest["kinds"]),
    )


def _move_into_place(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not (folder / MANIFEST).exists():  # otherwise another worker made the same windows in the meantime
            raise


def _remove_abandoned(folder: Path) -> None:
    """What a killed process left unfinished; a folder younger than a day may still be written by another worker."""
    for path in folder.glob(f"{UNFINISHED}*"):
        if time.time() - path.stat().st_mtime > ABANDONED_AFTER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
