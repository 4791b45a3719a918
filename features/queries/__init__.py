"""The query language of the activation index: from text to positions. docs/query-language.md describes it."""

from features.queries.errors import QueryError
from features.queries.parser import parse

__all__ = ["QueryError", "parse"]
