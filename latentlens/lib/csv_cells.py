"""CSV for people with spreadsheets: a cell that would be run as a formula is written as text, and read back as it was.

OWASP, "CSV injection": text that begins with = + - @, a tab or a carriage return. An apostrophe before it makes it
text; one that was there already gets another, so that reading is the exact inverse.
"""

from __future__ import annotations

from typing import TypeVar

Cell = TypeVar("Cell")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def safe_cell(cell: Cell) -> Cell | str:
    """What to write: text that begins like a formula with an apostrophe before it; anything else as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def original_cell(text: str) -> str:
    """What was meant: the inverse of `safe_cell`. An apostrophe before anything else stays."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text
