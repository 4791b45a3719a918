"""What was planted in harvested text is found again from the numbers of its documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.engine.builtin.corpus import TRAINING_SEED, document
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.planted_text import HarvestedDocument, planted_positions
from experiments.engine.text_tokenizer import TextTokenizer
from tests.engine.test_builtin_documents import builtin_windows
from tests.engine.tiny_models import tiny_tokenizer


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return TextTokenizer(tiny_tokenizer("byte_level"), "causal")


def test_every_harvested_token_carries_the_concepts_of_its_last_character(
    tmp_path: Path, tokenizer: TextTokenizer
) -> None:
    windows = builtin_windows(tmp_path, tokenizer).training
    tokens, documents, special = (part.reshape(-1) for part in (windows.tokens, windows.documents, windows.special))
    numbers = np.unique(documents).tolist()
    starts = [int(np.flatnonzero(documents == number)[0]) for number in numbers]
    chosen = [
        HarvestedDocument(number, start, tokens[documents == number])
        for number, start in zip(numbers, starts, strict=True)
    ]
    expected: set[tuple[str, int]] = set()
    for number in numbers:
        planted = document(TRAINING_SEED, number)
        places = np.flatnonzero((documents == number) & ~special).tolist()
        offsets = tokenizer.encode_with_offsets([planted.text])[0].offsets[: len(places)]
        for place, (_, stop) in zip(places, offsets, strict=True):
            expected |= {(span.concept, place) for span in planted.spans if span.start < stop <= span.stop}
    found = planted_positions(tokenizer, chosen)
    assert {(concept, place) for concept, places in found.items() for place in places.tolist()} == expected
    assert all(np.all(np.diff(places) > 0) for places in found.values())
    assert len(found) > 20


def test_text_of_another_corpus_is_refused(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    windows = builtin_windows(tmp_path, tokenizer).training
    tokens = windows.tokens.reshape(-1)[windows.documents.reshape(-1) == 0]
    first = HarvestedDocument(0, 0, tokens)
    assert planted_positions(tokenizer, [first])
    with pytest.raises(CorpusError, match="harvest it again"):
        planted_positions(tokenizer, [replace(first, number=1)])
