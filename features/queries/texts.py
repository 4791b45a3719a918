"""Which texts a comparison of a query means: = is the very text, ~ is contained in it, and a pattern is found in it."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from features.activation_index.files import connection
from features.queries.errors import QueryError

# RE2, which DuckDB uses, needs time in proportion to the text whatever the pattern.
_FOUND = """
    SELECT number FROM (SELECT unnest($texts::VARCHAR[]) AS text, unnest(range($count)) AS number)
    WHERE regexp_matches(text, $pattern) ORDER BY number
"""
LONGEST_PATTERN = 200


def matching(texts: Sequence[str], comparison: str, wanted: str, is_pattern: bool) -> list[int]:
    """The numbers of the texts that satisfy a comparison.

    `~` takes no notice of case; a pattern does unless it begins with (?i). Raises QueryError for what is no pattern.
    """
    if is_pattern:
        found = set(_found(texts, wanted))
    elif comparison in {"=", "!="}:
        found = {number for number, text in enumerate(texts) if text == wanted}
    else:
        part = wanted.casefold()
        found = {number for number, text in enumerate(texts) if operator.contains(text.casefold(), part)}
    if comparison in {"!=", "!~"}:
        return [number for number in range(len(texts)) if number not in found]
    return sorted(found)


def _found(texts: Sequence[str], pattern: str) -> list[int]:
    import duckdb  # noqa: PLC0415 - as in features.activation_index.files

    if len(pattern) > LONGEST_PATTERN:
        raise QueryError(f"A pattern has at most {LONGEST_PATTERN} characters")
    parameters = {"texts": list(texts), "count": len(texts), "pattern": pattern.replace("\\/", "/")}
    try:
        return [number for (number,) in connection().execute(_FOUND, parameters).fetchall()]
    except duckdb.Error as error:
        reason = str(error).split(": ", 1)[-1].splitlines()[0]
        raise QueryError(f"/{pattern}/ is no regular expression ({reason})") from None
