"""The truth about harvested text of the built-in corpus: which tokens carry which planted concept.

Only held-out windows keep their concepts; the harvest reads training documents. A document is a function of its number,
so it is written again, and encoded again to learn which characters each of its tokens stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.builtin.corpus import TRAINING_SEED, document, token_concepts
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.text_tokenizer import TextTokenizer

Positions = NDArray[np.int64]
DOCUMENTS_AT_ONCE = 256


@dataclass(frozen=True)
class HarvestedDocument:
    """A training document: its number, its first position in the index, and the token ids there, special ones too."""

    number: int
    start: int
    tokens: NDArray[Any]


def planted_positions(tokenizer: TextTokenizer, documents: Sequence[HarvestedDocument]) -> dict[str, Positions]:
    """The positions that carry each concept, rising where the documents rise.

    Raises CorpusError for text that the built-in corpus does not write (any more).
    """
    found: dict[str, list[int]] = {}
    for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
        for position, concept in _planted(tokenizer, documents[start : start + DOCUMENTS_AT_ONCE]):
            found.setdefault(concept, []).append(position)
    return {concept: np.array(positions, np.int64) for concept, positions in found.items()}


def _planted(tokenizer: TextTokenizer, documents: Sequence[HarvestedDocument]) -> Iterator[tuple[int, str]]:
    frame = tokenizer.frame
    special = [*frame.opening, *frame.between, *frame.closing]
    written = [document(TRAINING_SEED, harvested.number) for harvested in documents]
    encoded = tokenizer.encode_with_offsets([one.text for one in written])
    for harvested, source, text in zip(documents, written, encoded, strict=True):
        # Text never encodes to a special token, so whatever has the id of one was put in by position.
        places = np.flatnonzero(~np.isin(harvested.tokens, special))
        if not np.array_equal(harvested.tokens[places], text.ids[: len(places)]):
            raise CorpusError("This text is not of the built-in corpus as it is written now: harvest it again.")
        concepts = token_concepts(source, text.offsets)
        for place, carried in zip(places.tolist(), concepts, strict=False):  # the last document may be cut off
            yield from ((harvested.start + place, concept) for concept in carried)
