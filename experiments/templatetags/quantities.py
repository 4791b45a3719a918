"""Template filters for numbers with units: counts, bytes, durations, shares."""

from __future__ import annotations

from typing import TypeAlias

from django import template

register = template.Library()

NOTHING = "–"
# What a template hands over for a number that is not there: None, or "" for a missing key.
Number: TypeAlias = float | str | None
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LETTERS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))


@register.filter
def count(number: Number) -> str:
    """A count for a sentence: 950, 9,216, 12.3k, 2.0M."""
    if not isinstance(number, int | float):
        return NOTHING
    for size, letter in _LETTERS:
        if number >= size:
            return f"{number / (1e3 if letter == 'k' else size):.1f}{letter}"
    return f"{number:,.0f}"


@register.filter
def exactly(number: Number) -> str:
    """A whole number with commas: 1,500,000."""
    return NOTHING if not isinstance(number, int | float) else f"{number:,.0f}"


@register.filter
def in_bytes(number: Number) -> str:
    """A size: 512 kB, 6.2 MB, 1.4 GB."""
    if not isinstance(number, int | float):
        return NOTHING
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB"


@register.filter
def duration(seconds: Number) -> str:
    """A time span in its two largest units: 42 s, 1 min 50 s, 3 h 5 min, 2 d 4 h."""
    if not isinstance(seconds, int | float):
        return NOTHING
    whole = round(seconds)
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {smaller_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s" if whole else "under 1 s"


@register.filter
def decimals(number: Number, places: int = 3) -> str:
    """A plain number with so many decimals, or a dash."""
    return NOTHING if not isinstance(number, int | float) else f"{number:,.{places}f}"


@register.filter
def share(part: Number, places: int = 1) -> str:
    """A share as a percentage: 0.0312 is 3.1 %."""
    return NOTHING if not isinstance(part, int | float) else f"{100 * part:.{places}f} %"


@register.filter
def as_share(part: Number) -> str:
    """A share of any size as a percentage with two digits that count: 0.00034 %, 12 %."""
    return NOTHING if not isinstance(part, int | float) else f"{100 * part:.2g} %"


@register.filter
def as_power(exponent: int) -> str:
    """A power of ten as it is written on an axis: 10⁻⁶, 0.1, 1."""
    if exponent in {-1, 0}:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(_RAISED)


@register.filter
def scaled(part: float, length: float) -> str:
    """A part of 100 as that part of `length`, for a coordinate of a drawing."""
    return f"{part * length / 100:.1f}"
