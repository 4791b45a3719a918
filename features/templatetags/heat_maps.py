"""Heat maps of tokens. A page has thousands of tokens, for each of which a loop in a template takes some 40 µs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Protocol

from django import template
from django.utils.safestring import SafeString

from features.readable_text import running, silent, visible
from features.templatetags.evidence import grouped, heat, significant

register = template.Library()


class Token(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def activation(self) -> float: ...
    @property
    def position(self) -> int: ...


@register.simple_tag
def card_tokens(tokens: Iterable[Mapping[str, Any]], strongest: float) -> SafeString:
    """An example on a card: what fires is coloured and says how strongly, the rest is plain text."""
    return SafeString("".join(_on_card(token["text"], token["activation"], strongest) for token in tokens))


@register.simple_tag
def example_tokens(tokens: Iterable[Token], strongest: float, marked: int | None = None) -> SafeString:
    """An example with a tip for every token; what fires, and the token at position `marked`, can be focused."""
    return SafeString("".join(_in_example(token, strongest, marked) for token in tokens))


def _on_card(text: str, activation: float, strongest: float) -> str:
    level = heat(activation, strongest)
    if not level:
        return escape(silent(text))
    return f'<span class="token heat-{level}" title="{significant(activation)}">{escape(running(text))}</span>'


def _in_example(token: Token, strongest: float, marked: int | None) -> str:
    level, is_marked = heat(token.activation, strongest), token.position == marked
    classes = "token" + (f" heat-{level}" if level else "") + (" token--selected" if is_marked else "")
    focus = ' tabindex="0"' if level or is_marked else ""
    tip = f"“{visible(token.text)}”  activation {significant(token.activation)}  position {grouped(token.position)}"
    text = running(token.text) if focus else silent(token.text)
    return f'<span class="{classes}"{focus} data-tip="{escape(tip)}">{escape(text)}</span>'
