"""Windows of tokens, cut from documents and kept in files that are mapped into memory. No torch.

Every window has the same length and opens with the model's own beginning token; an encoder's closes with its own end
token. Usually windows are full: documents that meet in one are set apart as the model's tokenizer does it. Or every
window holds the beginning of one document, and padding where that is short. Which tokens are special is known by
position; padding counts as special, and belongs to no document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.engine.growing_array import GrowingArray

TokenIds: TypeAlias = NDArray[np.int32]
NO_DOCUMENT = -1  # where padding says which document it is from


@dataclass(frozen=True)
class Frame:
    """The special tokens that stand at the start of a window, between two documents, and at the end of a window."""

    opening: tuple[int, ...]
    between: tuple[int, ...]
    closing: tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Tokens in windows, with the document each one is from; all three arrays are [windows, context_length]."""

    tokens: TokenIds
    documents: NDArray[np.int32]
    special: NDArray[np.bool_]
    concepts: NDArray[np.uint8] | None = None  # [windows, context_length, bytes]: packed bits, one for each concept

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, chosen: slice | NDArray[np.integer[Any]]) -> Windows:
        concepts = None if self.concepts is None else self.concepts[chosen]
        return Windows(self.tokens[chosen], self.documents[chosen], self.special[chosen], concepts)

    @property
    def text_tokens(self) -> int:
        """The number of tokens that are not special."""
        return int(self.special.size - np.count_nonzero(self.special))

    @property
    def attention_mask(self) -> NDArray[np.bool_] | None:
        """Where there is something to read, [windows, context_length]; None where there is no padding."""
        read = self.documents != NO_DOCUMENT
        return None if read.all() else read

    def concept_flags(self, n_concepts: int) -> NDArray[np.bool_]:
        """Which planted concepts every token carries: [windows, context_length, n_concepts].

        Raises ValueError for windows of a corpus without planted concepts.
        """
        if self.concepts is None:
            raise ValueError("only the built-in corpus has planted concepts")
        return np.unpackbits(self.concepts, axis=-1, count=n_concepts).astype(bool)


@dataclass(frozen=True)
class DocumentTokens:
    """The tokens [n] of one document, and the packed concepts [n, bytes] of each if planted.

    None of them is special but those that a chat template wrote, which `special` marks.
    """

    document: int
    tokens: TokenIds
    concepts: NDArray[np.uint8] | None = None
    special: NDArray[np.bool_] | None = None


class WindowWriter:
    """Packs documents into windows and appends the full ones to files in a folder; `read_windows` maps them back.

    The window under construction at the end is left out: every window on disk is full. A `state` that an earlier writer
    saved is where this one goes on; what was appended after it is cut off.
    """

    def __init__(
        self,
        folder: Path,
        frame: Frame,
        context_length: int,
        concept_bytes: int = 0,
        state: dict[str, Any] | None = None,
    ) -> None:
        special = len(frame.opening) + len(frame.closing)
        if context_length <= special:
            raise ValueError(f"a window of {context_length} tokens has no room for text beside {special} special ones")
        self._frame, self._room = frame, context_length - len(frame.closing)
        self._tokens: TokenIds = np.empty(context_length, np.int32)
        self._documents: NDArray[np.int32] = np.empty(context_length, np.int32)
        self._special: NDArray[np.bool_] = np.empty(context_length, bool)
        self._concepts: NDArray[np.uint8] = np.empty((context_length, concept_bytes), np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[str, NDArray[Any]] = {
            "tokens": self._tokens,
            "documents": self._documents,
            "special": self._special,
        }
        if concept_bytes:
            self._rows["concepts"] = self._concepts
        self._filled = 0
        self.windows = self.text_tokens = self.cut_tokens = 0
        if state:
            self._restore(state)
        self._files = {
            name: GrowingArray(folder / f"{name}.npy", row, self.windows) for name, row in self._rows.items()
        }

    def save(self) -> dict[str, Any]:
        """Brings all windows to disk; returns the counts and the window under construction as plain JSON."""
        for file in self._files.values():
            file.sync()
        unfinished = {name: row[: self._filled].tolist() for name, row in self._rows.items()}
        counts = {"windows": self.windows, "text_tokens": self.text_tokens, "cut_tokens": self.cut_tokens}
        return {**counts, "filled": self._filled, "unfinished": unfinished}

    def _restore(self, state: dict[str, Any]) -> None:
        self._filled = state["filled"]
        self.windows, self.text_tokens = state["windows"], state["text_tokens"]
        self.cut_tokens = state["cut_tokens"]
        for name, row in self._rows.items():
            if self._filled:
                row[: self._filled] = state["unfinished"][name]

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def add(self, document: DocumentTokens) -> None:
        """Appends a document; the last of its tokens wait in an unfinished window for the next one."""
        if self._filled:
            self._put_special(self._frame.between, document.document)
        position = 0
        while position < len(document.tokens):
            if not self._filled:
                self._put_special(self._frame.opening, document.document)
            taken = min(self._room - self._filled, len(document.tokens) - position)
            self._put(document, position, taken)
            position += taken

    def _put(self, document: DocumentTokens, position: int, count: int) -> None:
        here, there = slice(self._filled, self._filled + count), slice(position, position + count)
        self._tokens[here] = document.tokens[there]
        self._documents[here] = document.document
        self._special[here] = False if document.special is None else document.special[there]
        if document.concepts is not None:
            self._concepts[here] = document.concepts[there]
        self._filled += count
        self._flush_if_full(document.document)

    def _put_special(self, tokens: Sequence[int], document: int) -> None:
        """Special tokens that no longer fit are left out: the next window has its own opening."""
        count = min(len(tokens), self._room - self._filled)
        self._fill_special(self._filled, tokens[:count], document)
        self._filled += count
        self._flush_if_full(document)

    def _fill_special(self, start: int, tokens: Sequence[int], document: int) -> None:
        here = slice(start, start + len(tokens))
        self._tokens[here], self._documents[here], self._special[here] = tokens, document, True
        self._concepts[here] = 0

    def _flush_if_full(self, document: int) -> None:
        if self._filled < self._room:
            return
        self._fill_special(self._room, self._frame.closing, document)
        self._append()

    def _append(self) -> None:
        for name, file in self._files.items():
            file.append(self._rows[name])
        self._filled = 0
        self.windows += 1
        self.text_tokens += self._special.size - int(np.count_nonzero(self._special))


class DocumentWindowWriter(WindowWriter):
    """Gives every document a window of its own: what does not fit is left out and counted, a short one is padded."""

    def add(self, document: DocumentTokens) -> None:
        """Appends one window with the document's beginning; an empty document gives none."""
        if not len(document.tokens):
            return
        self._put_special(self._frame.opening, document.document)
        taken = min(self._room - self._filled, len(document.tokens))
        self.cut_tokens += len(document.tokens) - taken
        self._put(document, 0, taken)
        if self._filled:
            self._pad(document.document)

    def _pad(self, document: int) -> None:
        self._fill_special(self._filled, self._frame.closing, document)
        filled = self._filled + len(self._frame.closing)
        # Padding is never read, so any id that the model knows will do.
        padding = (self._frame.opening or self._frame.closing or (0,))[0]
        self._fill_special(filled, [padding] * (len(self._tokens) - filled), NO_DOCUMENT)
        self._append()


def first_windows(windows: Windows, wanted_tokens: int | None) -> Windows:
    """The first windows that together hold `wanted_tokens` tokens of text, or all of them (also for None)."""
    if wanted_tokens is None:
        return windows
    held = np.cumsum(np.count_nonzero(~windows.special, axis=1))
    return windows[: int(np.searchsorted(held, wanted_tokens)) + 1]


def read_windows(folder: Path) -> Windows:
    """Maps the windows that a WindowWriter left in `folder` into memory."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "documents", "special")}
    concepts = folder / "concepts.npy"
    return Windows(**arrays, concepts=np.load(concepts, mmap_mode="r") if concepts.exists() else None)
