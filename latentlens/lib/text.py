"""Rules for text that comes from people: what is refused, and what is tidied."""

from __future__ import annotations

import re
import unicodedata

from latentlens.lib.problems import refused_field

# By patterns, because every character of every label in a file is looked at.
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # category Cc without line ends and tabs


def clean_name(text: str, *, field: str, maximum: int = 200) -> str:
    """One line of text that is not empty: runs of white space become one space.

    Raises `Refused` for text that is empty, too long, or not storable (NUL, lone surrogates, control characters).
    """
    name = " ".join(_storable(text, field).split())
    if not name:
        raise refused_field(field, f"{_title(field)} is empty: type at least one character.")
    return _short_enough(name, field, maximum)


def clean_text(text: str, *, field: str, maximum: int = 10_000, required: bool = False) -> str:
    """Text of any number of lines, with surrounding white space removed; same refusals as `clean_name`."""
    cleaned = _storable(text, field).strip()
    if required and not cleaned:
        raise refused_field(field, f"{_title(field)} is empty: type at least one character.")
    return _short_enough(cleaned, field, maximum)


def _storable(text: str, field: str) -> str:
    """The same text with one kind of line end, in the composed normal form (NFC)."""
    if _SURROGATE.search(text):
        raise refused_field(field, f"{_title(field)} holds half of a character (a lone surrogate): type it again.")
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if _CONTROL.search(normal):
        raise refused_field(field, f"{_title(field)} holds control characters, such as NUL: remove them.")
    return normal


def _short_enough(text: str, field: str, maximum: int) -> str:
    if len(text) > maximum:
        raise refused_field(field, f"{_title(field)} has {len(text):,} characters; {maximum:,} are the most.")
    return text


def _title(field: str) -> str:
    return field.replace("_", " ").capitalize()
