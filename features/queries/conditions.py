"""What a query is made of: conditions on one token of the harvested text, and how they are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Comparison: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
TextComparison: TypeAlias = Literal["=", "!=", "~", "!~"]


@dataclass(frozen=True)
class Activation:
    """The activation of a feature on this token, which is 0 where it is silent; fires(f) is activation(f) > 0."""

    feature: int
    comparison: Comparison
    value: float


@dataclass(frozen=True)
class TokenText:
    """The text of the token `shift` places on, in the same window: -1 is the one before. `text` may be a pattern."""

    shift: int
    comparison: TextComparison
    text: str
    is_pattern: bool


@dataclass(frozen=True)
class DocumentKind:
    comparison: TextComparison
    text: str
    is_pattern: bool


@dataclass(frozen=True)
class Place:
    """Where the token is: number of the document, position in the text, or offset in the window."""

    of: Literal["document", "position", "offset"]
    comparison: Comparison
    value: float


@dataclass(frozen=True)
class Not:
    inner: Condition


@dataclass(frozen=True)
class And:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Within:
    """`inner` holds here, and `other` on a token at most `tokens` before or after, in the same window."""

    inner: Condition
    tokens: int
    other: Condition


Condition: TypeAlias = Activation | TokenText | DocumentKind | Place | Not | And | Or | Within


def features_in(condition: Condition) -> list[int]:
    """The features that are named, each once, in the order of the query."""
    return list(dict.fromkeys(_features(condition)))


def _features(condition: Condition) -> list[int]:
    match condition:
        case Activation(feature):
            return [feature]
        case Not(inner):
            return _features(inner)
        case And(parts) | Or(parts):
            return [feature for part in parts for feature in _features(part)]
        case Within(inner, _, other):
            return [*_features(inner), *_features(other)]
    return []
