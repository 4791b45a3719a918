"""The built-in corpus as a source of documents, with the concepts that were planted in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import experiments.engine.builtin
from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.builtin.corpus import HELD_OUT_SEED, TRAINING_SEED, document, token_concepts
from experiments.engine.document_sources import NOTHING_LEFT_OUT, DocumentStream, Offsets, SourceDocument, Wanted


class BuiltinSource:
    """Documents 0, 1, 2, ... of the training seed and, apart from them, of the held-out seed."""

    concepts: tuple[str, ...] = tuple(CONCEPTS)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The hash of the code that writes the corpus: another version of it is another corpus."""
        folder = Path(experiments.engine.builtin.__file__).parent
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
        return {"builtin": digest.hexdigest()}

    def documents(self, wanted: Wanted, position: Any = None) -> DocumentStream:
        return _BuiltinDocuments(wanted, position)

    def planted(self, document_: SourceDocument, offsets: Offsets) -> NDArray[np.bool_]:
        carried = token_concepts(document(HELD_OUT_SEED, document_.number), offsets)
        flags = np.zeros((len(offsets), len(self.concepts)), bool)
        for position, names in enumerate(carried):
            for name in names:
                flags[position, self._position[name]] = True
        return flags

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.concepts)}


class _BuiltinDocuments:
    left_out = NOTHING_LEFT_OUT

    def __init__(self, wanted: Wanted, position: Any) -> None:
        self._wanted = wanted
        self._next: dict[str, int] = dict(position or {"training": 0, "held_out": 0})

    def __iter__(self) -> Iterator[SourceDocument]:
        for part, seed in (("training", TRAINING_SEED), ("held_out", HELD_OUT_SEED)):
            held_out = part == "held_out"
            while self._wanted(held_out):
                number, self._next[part] = self._next[part], self._next[part] + 1
                written = document(seed, number)
                yield SourceDocument(number, written.text, held_out, written.kind)

    def position(self) -> Any:
        return dict(self._next)
