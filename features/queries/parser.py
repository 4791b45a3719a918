"""The grammar, by recursive descent.

query     = and { "or" and }
and       = unary { "and" unary }
unary     = "not" unary | near
near      = primary [ "within" NUMBER ("token" | "tokens") "of" primary ]
primary   = "(" query ")" | condition
condition = "fires" "(" FEATURE ")"
          | "activation" "(" FEATURE ")" comparison NUMBER
          | ("token" | "next" | "previous" | "kind") ("=" | "!=" | "~" | "!~") (STRING | PATTERN)
          | ("document" | "position" | "offset") comparison NUMBER
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, cast, get_args

from features.queries.conditions import (
    Activation,
    And,
    Comparison,
    Condition,
    DocumentKind,
    Not,
    Or,
    Place,
    TextComparison,
    TokenText,
    Within,
)
from features.queries.errors import QueryError
from features.queries.lexer import Kind, Lexeme, lexemes

MOST_CONDITIONS = 32
MOST_NESTING = 32
FARTHEST = 128  # tokens, in "within"
LARGEST_FEATURE = 2**31 - 1

SHIFTS = {"token": 0, "next": 1, "previous": -1}
CONDITIONS = ("fires", "activation", *SHIFTS, "kind", "document", "position", "offset")


def parse(query: str) -> Condition:
    """What `query` says. Raises QueryError, which points at the character."""
    return _Parser(query).parse()


class _Parser:
    def __init__(self, query: str) -> None:
        self._query = query
        self._lexemes = list(lexemes(query))
        self._at = self._conditions = self._depth = 0

    def parse(self) -> Condition:
        if self._at_end():
            raise QueryError("The query is empty: write a condition, such as fires(12)")
        condition = self._any()
        if not self._at_end():
            raise self._error(f"expected and, or, or the end, not {self._next.shown}")
        return condition

    def _any(self) -> Condition:
        return self._joined("or", Or, self._all)

    def _all(self) -> Condition:
        return self._joined("and", And, self._unary)

    def _joined(self, word: str, join: type[And] | type[Or], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._take("name", word):
            parts.append(part())
        return join(tuple(parts)) if len(parts) > 1 else parts[0]

    def _unary(self) -> Condition:
        if not (found := self._take("name", "not")):
            return self._near()
        self._deeper(found)
        inner = self._unary()
        self._depth -= 1
        return Not(inner)

    def _near(self) -> Condition:
        inner = self._primary()
        if not self._take("name", "within"):
            return inner
        tokens = self._whole("a number of tokens", 1, FARTHEST)
        if not (self._take("name", "tokens") or self._take("name", "token")):
            raise self._error(f"expected tokens, not {self._next.shown}")
        self._expect("name", "of")
        return Within(inner, tokens, self._primary())

    def _primary(self) -> Condition:
        if not (found := self._take("sign", "(")):
            return self._condition()
        self._deeper(found)
        condition = self._any()
        self._expect("sign", ")")
        self._depth -= 1
        return condition

    def _condition(self) -> Condition:
        found = self._next
        if found.kind != "name" or found.text not in CONDITIONS:
            raise self._error(f"expected a condition ({', '.join(CONDITIONS)}), not {found.shown}")
        self._at += 1
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise QueryError(
                f"A query has at most {MOST_CONDITIONS} conditions; there is one more", self._query, found.position
            )
        if found.text == "fires":
            return Activation(self._feature(), ">", 0.0)
        if found.text == "activation":
            feature = self._feature()
            return Activation(feature, self._comparison(), self._number())
        if found.text in SHIFTS or found.text == "kind":
            return self._text_condition(found.text)
        place = cast(Literal["document", "position", "offset"], found.text)
        return Place(place, self._comparison(), self._number())

    def _text_condition(self, name: str) -> Condition:
        comparison = cast(TextComparison, self._sign(get_args(TextComparison)))
        found = self._next
        if found.kind not in {"string", "pattern"}:
            raise self._error(f"expected a string between double quotes, not {found.shown}")
        is_pattern = found.kind == "pattern"
        if is_pattern and comparison not in {"~", "!~"}:
            raise self._error("a pattern between slashes is compared by ~ or !~; the pattern stands")
        self._at += 1
        if name == "kind":
            return DocumentKind(comparison, found.text, is_pattern)
        return TokenText(SHIFTS[name], comparison, found.text, is_pattern)

    def _feature(self) -> int:
        self._expect("sign", "(")
        feature = self._whole("the index of a feature", 0, LARGEST_FEATURE)
        self._expect("sign", ")")
        return feature

    def _comparison(self) -> Comparison:
        return cast(Comparison, self._sign(get_args(Comparison)))

    def _sign(self, signs: tuple[str, ...]) -> str:
        found = self._next
        if found.kind != "sign" or found.text not in signs:
            raise self._error(f"expected {', '.join(signs[:-1])} or {signs[-1]}, not {found.shown}")
        self._at += 1
        return found.text

    def _whole(self, what: str, least: int, most: int) -> int:
        found = self._next
        if found.kind != "number" or not found.text.isdecimal() or not least <= int(found.text) <= most:
            raise self._error(f"expected {what} from {least} to {most:,}, not {found.shown}")
        self._at += 1
        return int(found.text)

    def _number(self) -> float:
        found = self._next
        number = float(found.text) if found.kind == "number" else math.nan
        if not math.isfinite(number):
            raise self._error(f"expected a number, not {found.shown}")
        self._at += 1
        return number

    @property
    def _next(self) -> Lexeme:
        return self._lexemes[self._at]

    def _at_end(self) -> bool:
        return self._next.kind == "end"

    def _take(self, kind: Kind, text: str) -> Lexeme | None:
        found = self._next
        if (found.kind, found.text) != (kind, text):
            return None
        self._at += 1
        return found

    def _expect(self, kind: Kind, text: str) -> None:
        if not self._take(kind, text):
            raise self._error(f"expected {text}")

    def _deeper(self, found: Lexeme) -> None:
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise QueryError(
                f"A query is nested at most {MOST_NESTING} deep; it is deeper", self._query, found.position
            )

    def _error(self, message: str) -> QueryError:
        return QueryError(message[0].upper() + message[1:], self._query, self._next.position)
