"""What is raised when text cannot be used. No torch."""

from __future__ import annotations


class CorpusError(ValueError):
    """A text that cannot be used; the message is one sentence that says what to change."""


class MissingColumn(CorpusError):  # noqa: N818 - named like what is missing
    """The file is readable and the named column is not in it: another name may do."""
