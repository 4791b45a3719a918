"""The words of a query, each with the place where it begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from features.queries.errors import QueryError

Kind = Literal["name", "number", "string", "pattern", "sign", "end"]

LONGEST_QUERY = 1_000
# A slash begins a pattern: nothing is divided here.
_LEXEME = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<name>[A-Za-z_]+)
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | "(?P<string>(?:[^"\\]|\\.)*)"
  | /(?P<pattern>(?:[^/\\]|\\.)*)/
  | (?P<sign><=|>=|!=|!~|[()<>=~])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class Lexeme:
    """One word; `text` of a string is what it stands for, `position` where it begins."""

    kind: Kind
    text: str
    position: int

    @property
    def shown(self) -> str:
        """As an error names it."""
        return "the end" if self.kind == "end" else f"“{self.text}”"


def lexemes(query: str) -> Iterator[Lexeme]:
    """The words of `query`, and an end. Raises QueryError for a character or string that makes no sense."""
    if len(query) > LONGEST_QUERY:
        raise QueryError(f"A query has at most {LONGEST_QUERY:,} characters, this one has {len(query):,}")
    position = 0
    while position < len(query):
        found = _LEXEME.match(query, position)
        if found is None:
            raise _misfit(query, position)
        kind = found.lastgroup
        if kind == "string":
            yield Lexeme("string", _unescaped(found["string"], query, position), position)
        elif kind in {"name", "number", "pattern", "sign"}:
            text = found[kind]
            yield Lexeme(kind, text.lower() if kind == "name" else text, position)  # type: ignore[arg-type]
        position = found.end()
    yield Lexeme("end", "", len(query))


def _misfit(query: str, position: int) -> QueryError:
    character = query[position]
    if character == '"':
        return QueryError('Expected a closing quote (") for the string that begins', query, position)
    if character == "/":
        return QueryError("Expected a closing slash (/) for the pattern that begins", query, position)
    if character in "“”'‘’„":
        return QueryError('Strings stand between straight double quotes (")', query, position)
    return QueryError(f"“{character}” means nothing here", query, position)


def _unescaped(text: str, query: str, position: int) -> str:
    def character(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            known = ", ".join(f"\\{name}" for name in _ESCAPES)
            raise QueryError(f"“\\{found[1]}” is none of {known}", query, position + 1 + found.start())
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", character, text, flags=re.DOTALL)
