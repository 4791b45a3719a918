"""The tokens around a position, each with the activation of one feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.activation_index.files import IndexFiles
from features.activation_index.firings import Firings
from features.activation_index.text import NO_DOCUMENT, Positions, Text, text_of


class Context(NamedTuple):
    """How many tokens to show around the token on which a feature fires."""

    before: int
    after: int


PAGE_CONTEXT = Context(before=32, after=16)
CARD_CONTEXT = Context(before=11, after=7)


@dataclass(frozen=True)
class ExampleToken:
    """One token of an example; `activation` is 0.0 where the feature is silent."""

    text: str
    activation: float
    position: int


@dataclass(frozen=True)
class Passage:
    """Tokens of one document, over the borders of windows; `is_start` and `is_end` say whether it is cut there."""

    document: int
    kind: str | None
    tokens: tuple[ExampleToken, ...]
    is_start: bool
    is_end: bool


def around(text: Text, positions: Sequence[int], context: Context) -> list[Positions]:
    """The positions to show around each of `positions`: of the same document and window."""
    found = []
    for position in positions:
        first, stop = text.passage_at(position)
        found.append(np.arange(max(first, position - context.before), min(stop, position + context.after + 1)))
    return found


def tokens_at(files: IndexFiles, positions: Sequence[Positions], firings: Firings) -> list[tuple[ExampleToken, ...]]:
    """The tokens on each run of positions with the activations of the feature that `firings` belong to."""
    if not positions:
        return []
    vocabulary, every = files.vocabulary(), np.concatenate(positions)
    ids, activations = text_of(files).tokens[every].tolist(), firings.activation_at(every).tolist()
    tokens = [
        ExampleToken(text_for(vocabulary, token), activation, position)
        for token, activation, position in zip(ids, activations, every.tolist(), strict=True)
    ]
    ends = np.cumsum([len(run) for run in positions]).tolist()
    return [tuple(tokens[end - len(run) : end]) for run, end in zip(positions, ends, strict=True)]


def document_passage(files: IndexFiles, firings: Firings, position: int, most_tokens: int) -> Passage | None:
    """The document at a position, cut to `most_tokens` around it; None where there is no document."""
    text = text_of(files)
    if not 0 <= position < len(text.tokens):
        return None
    document = int(text.document_at(np.array([position]))[0])
    row = text.row_of(document)
    if document == NO_DOCUMENT or row is None:
        return None
    start, stop = int(text.starts[row]), int(text.starts[row] + text.lengths[row])
    first = max(start, min(position - most_tokens // 2, stop - most_tokens))
    last = min(stop, first + most_tokens)
    (tokens,) = tokens_at(files, [np.arange(first, last)], firings)
    return Passage(document, text.kinds[row], tokens, is_start=first == start, is_end=last == stop)


def text_for(vocabulary: Sequence[str], token: int) -> str:
    """How a token is shown."""
    return vocabulary[token] if token < len(vocabulary) else f"⟨{token}⟩"
