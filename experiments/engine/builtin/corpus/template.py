"""The template language in which the documents of the built-in corpus are written.

A template is text with two kinds of mark-up:

- ``{slot}`` is replaced by a value or by a rule of the lexicon; ``{^slot}`` starts it with a capital letter and
  ``{a slot}`` puts "a" or "an" before it, ``{A slot}`` "A" or "An".
- ``[concept|text]`` plants a concept on everything that the enclosed text expands to. Marks may be nested.

Braces are doubled to stand for themselves; a square bracket that is not followed by a concept's name and a bar, or
that closes no open mark, is plain text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Slot:
    """A place to be filled: by name, with an article before it or a capital letter at its start if asked for."""

    name: str
    article: bool = False
    capital: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """The beginning of a planted concept."""

    concept: str


@dataclass(frozen=True, slots=True)
class Close:
    """The end of the concept opened last."""


Piece = str | Slot | Open | Close

_MARKUP = re.compile(r"\{\{|\}\}|\{(?P<flag>\^|[aA] )?(?P<slot>[a-z_]+)\}|\[(?P<concept>[a-z]+(?:-[a-z]+)*)\||\]")


@cache
def parse(template: str) -> tuple[Piece, ...]:
    """The pieces of a template in order; raises ValueError when a mark is left open."""
    pieces: list[Piece] = []
    for piece in _pieces(template):
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def _pieces(template: str) -> Iterator[Piece]:
    depth = end = 0
    for match in _MARKUP.finditer(template):
        if match.start() > end:
            yield template[end : match.start()]
        end = match.end()
        if match["slot"]:
            yield Slot(match["slot"], article=match["flag"] in ("a ", "A "), capital=match["flag"] in ("^", "A "))
        elif match["concept"]:
            depth += 1
            yield Open(match["concept"])
        elif match[0] == "]" and depth:
            depth -= 1
            yield Close()
        else:
            yield match[0][0]
    if depth:
        raise ValueError(f"a concept is left open in the template {template!r}")
    if end < len(template):
        yield template[end:]
