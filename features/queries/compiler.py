"""From a parsed query to SQL for DuckDB. Whatever a person typed goes into parameters, never into the text of the SQL.

A condition becomes an expression over one row `t` of the tokens; what is about other rows or other files is a set of
positions that `t.position` is or is not in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from features.queries.conditions import (
    Activation,
    And,
    Comparison,
    Condition,
    DocumentKind,
    Not,
    Or,
    Place,
    TokenText,
    Within,
)

_COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_OPPOSITE: dict[Comparison, Comparison] = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_PLACES = {
    "document": "t.document",
    "position": "t.position",
    "offset": "t.position % $context_length",
}

# Texts to the numbers of those that satisfy a comparison: token ids for token texts.
Matcher = Callable[[str, str, bool], list[int]]


@dataclass
class Compiled:
    """A boolean expression over `t` (position, document, token, read), and the values of its parameters."""

    expression: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


class Compiler:
    """Compiles for one index: `token_ids` finds the ids of the tokens, and `kinds` the kinds, that a text means."""

    def __init__(self, context_length: int, token_ids: Matcher, kinds: Callable[[str, str, bool], list[str]]) -> None:
        self._context_length, self._token_ids, self._kinds = context_length, token_ids, kinds
        self._parameters: dict[str, Any] = {}

    def compile(self, condition: Condition) -> Compiled:
        expression = self._expression(condition)
        used = dict(self._parameters)
        if "$context_length" in expression:
            used["context_length"] = self._context_length
        return Compiled(expression, used)

    def _expression(self, condition: Condition) -> str:
        match condition:
            case Activation():
                return self._activation(condition)
            case TokenText():
                return self._token(condition)
            case DocumentKind(comparison, text, is_pattern):
                kinds = self._parameter(self._kinds(comparison, text, is_pattern))
                documents = (
                    f"SELECT document FROM read_parquet($documents) WHERE kind IN (SELECT unnest({kinds}::VARCHAR[]))"
                )
                return f"t.document IN ({documents})"
            case Place(of, comparison, value):
                return f"{_PLACES[of]} {_sql(comparison)} {self._parameter(value)}"
            case Not(inner):
                return f"NOT ({self._expression(inner)})"
            case And(parts):
                return self._joined("AND", parts)
            case Or(parts):
                return self._joined("OR", parts)
            case Within(inner, tokens, other):
                return f"({self._expression(inner)}) AND t.position IN ({self._near(tokens, other)})"

    def _joined(self, word: str, parts: Sequence[Condition]) -> str:
        return f" {word} ".join(f"({self._expression(part)})" for part in parts)

    def _activation(self, condition: Activation) -> str:
        """Silence is an activation of 0, and not in the files: where it satisfies the comparison, those are found that
        do not."""
        compare, value = condition.comparison, condition.value
        holds_for_silence = _COMPARE[compare](0.0, value)
        stored = _OPPOSITE[compare] if holds_for_silence else compare
        found = (
            f"SELECT position FROM read_parquet($activations) WHERE feature = {self._parameter(condition.feature)} "
            f"AND activation {_sql(stored)} {self._parameter(value)}::FLOAT"
        )
        return f"t.position {'NOT IN' if holds_for_silence else 'IN'} ({found})"

    def _token(self, condition: TokenText) -> str:
        ids = self._parameter(self._token_ids(condition.comparison, condition.text, condition.is_pattern))
        wanted = f"token IN (SELECT unnest({ids}::INTEGER[]))"
        if condition.shift == 0:
            return f"t.{wanted}"
        here = f"position - {condition.shift}" if condition.shift > 0 else f"position + {-condition.shift}"
        return (
            f"t.position IN (SELECT {here} FROM read_parquet($tokens) WHERE {wanted} "
            f"AND ({here}) // $context_length = position // $context_length)"
        )

    def _near(self, tokens: int, other: Condition) -> str:
        """The positions at most `tokens` from one where `other` holds, in the same window."""
        reach = self._parameter(tokens)
        holds = f"SELECT t.position FROM read_parquet($tokens) t WHERE t.read AND ({self._expression(other)})"
        return (
            f"SELECT DISTINCT n.position + s.step FROM ({holds}) n, range(-{reach}, {reach} + 1) s(step) "
            f"WHERE (n.position + s.step) // $context_length = n.position // $context_length"
        )

    def _parameter(self, value: Any) -> str:
        name = f"value_{len(self._parameters)}"
        self._parameters[name] = value
        return f"${name}"


def _sql(comparison: Comparison) -> str:
    return "<>" if comparison == "!=" else comparison
