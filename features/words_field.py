"""A column of words: text on SQLite, where FTS5 is beside it, and a text vector on Postgres."""

from __future__ import annotations

from typing import Any

from django.db.models import TextField


class WordsField(TextField):  # type: ignore[type-arg]
    """Plain words with blanks between them, each once. What is read from Postgres is its spelling of a vector.

    Postgres takes them as they are, without a parser and without positions: such a vector is half as long as the words
    and a vector made of them, and a table that fits into memory is most of a fast search.
    """

    def db_type(self, connection: Any) -> str | None:
        return "tsvector" if connection.vendor == "postgresql" else super().db_type(connection)
