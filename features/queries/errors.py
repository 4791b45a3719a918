"""What is wrong with a query, and where."""

from __future__ import annotations


class QueryError(Exception):
    """A query that cannot be understood or run. `message` is one sentence, `position` the place it means, from 0."""

    def __init__(self, message: str, query: str = "", position: int | None = None) -> None:
        where = "" if position is None else f" at character {position + 1}"
        self.message = f"{message}{where}."
        self.query, self.position = query, position
        super().__init__(self.message)

    @property
    def pointer(self) -> str:
        """The query with a caret below the place, for a font of one width; empty where no place is meant."""
        if self.position is None:
            return ""
        line = self.query.translate({10: " ", 13: " ", 9: " "})
        return f"{line}\n{' ' * self.position}^"
