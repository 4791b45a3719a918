"""Numbers that come from people: finite, in range, or refused in one sentence."""

from __future__ import annotations

import math
import re

from latentlens.lib.problems import Refused, refused_field

# Digits, or groups of three of them: "16,32" is no number but two.
_INTEGER = re.compile(r"[+-]?([0-9]{1,19}|[0-9]{1,3}([\s,_][0-9]{3}){1,6})")


def parse_integer(value: object, *, field: str, minimum: int, maximum: int) -> int:
    """`value` (an int, a whole float or decimal text; "4 096", "4,096" and "4_096" too) as an int in the range."""
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and _INTEGER.fullmatch(typed := value.strip()):
        number = int(re.sub(r"[\s,_]", "", typed))
    if number is None or not minimum <= number <= maximum:
        raise refused_field(field, f"{field} must be a whole number from {minimum:,} to {maximum:,}.")
    return number


def parse_number(value: object, *, field: str, minimum: float, maximum: float) -> float:
    """`value` (a number or decimal text) as a finite float in the range; NaN and infinities are refused."""
    number = _as_float(value)
    if not minimum <= number <= maximum:
        raise _out_of_range(field, minimum, maximum)
    return number


def _as_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _out_of_range(field: str, minimum: float, maximum: float) -> Refused:
    return refused_field(field, f"{field} must be a number from {minimum:g} to {maximum:g}.")
