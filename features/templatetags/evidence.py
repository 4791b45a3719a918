"""Template filters and tags for evidence: tokens, heat, densities and bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from features import readable_text
from features.activation_index import Example
from features.queries.search import Match

HEAT_LEVELS = 7

register = template.Library()
register.filter("visible", readable_text.visible)
register.filter("running", readable_text.running)
register.filter("silent", readable_text.silent)
register.filter("search_form", readable_text.search_form)


@register.filter
def heat(activation: float, strongest: float) -> int:
    """The level (0 to 7) of a heat map: 0 is silence, 7 is the strongest activation of the same map."""
    if activation <= 0 or strongest <= 0:
        return 0
    return min(HEAT_LEVELS, max(1, math.ceil(HEAT_LEVELS * activation / strongest)))


@register.filter
def example_title(example: Example) -> str:
    """What the number before an example says, and where the example is from."""
    kind = f" ({example.kind})" if example.kind else ""
    return f"Activation on the strongest token; rank {example.rank}, document {example.document}{kind}"


@register.filter
def match_title(match: Match) -> str:
    """What the number before a match says, and where the match is from."""
    kind = f" ({match.kind})" if match.kind else ""
    return f"Activation on the token that matches; position {match.position:,}, document {match.document}{kind}"


@register.filter
def percent(share: float) -> str:
    """A share as a percentage that never rounds something to nothing: 12.3 %, 0.42 %, 0.00031 %."""
    value = 100 * share
    if value == 0 or value >= 10:
        return f"{value:.1f}".removesuffix(".0") + " %"
    if value >= 1:
        return f"{value:.2f} %"
    return f"{Decimal(f'{value:.2g}'):f} %"


@register.filter
def significant(value: float) -> str:
    """A number with three significant digits and no exponent: 12.0, 0.0831, 1,241."""
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, decimals)}f}"


@register.filter
def signed(value: float) -> str:
    """A number with its sign and two decimals: +1.92."""
    return f"{value:+.2f}"


@register.filter
def share_of(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@register.filter
def entry(names: Mapping[str, str], key: str) -> str:
    """What a mapping holds under a key, or else the key."""
    return names.get(key, key)


@register.filter
def grouped(count: int) -> str:
    """A whole number with commas: 8,391."""
    return f"{count:,}"


@register.filter
def short_count(count: int) -> str:
    """A count for where there is little room: 950, 12.3k, 2.0M."""
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1000 if letter == 'k' else size):.1f}{letter}"
    return f"{count:,}"


@register.simple_tag
def bar(value: float, largest: float) -> SafeString:
    """A bar as long as |value| beside |largest|; the number itself stands in the text beside it."""
    share = min(1.0, abs(value / largest)) if largest else 0.0
    return format_html(
        '<svg class="bar" aria-hidden="true"><rect width="{}%" height="100%"/></svg>', f"{100 * share:.1f}"
    )
