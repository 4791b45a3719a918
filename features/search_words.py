"""Text as words that full-text search indexes, the same ones on every database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from features.readable_text import search_form

TokenKind = Literal["top", "promoted"]

_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD, _LONGEST_TOKEN = 100, 200


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, case and accents folded: "Café-au-lait" is cafe, au, lait."""
    plain = text.casefold()
    if not plain.isascii():
        folded = unicodedata.normalize("NFKD", plain)
        plain = "".join(character for character in folded if not unicodedata.combining(character))
    return [word[:_LONGEST_WORD] for word in _WORD.findall(plain)]


def distinct_words(*texts: str) -> str:
    """The words of these texts, each once, with blanks between them."""
    return " ".join(dict.fromkeys(word for text in dict.fromkeys(texts) for word in words_of(text)))


def token_word(kind: TokenKind, token: str) -> str:
    """One word that stands for a token, exactly: tokens may hold nothing that a full-text index calls a word."""
    return f"{kind[0]}{search_form(token)[:_LONGEST_TOKEN].encode().hex()}"


def exact_tokens(top: Iterable[str], promoted: Iterable[str]) -> str:
    """The words of a feature's tokens, each once, with blanks between them."""
    words = [token_word("top", text) for text in top] + [token_word("promoted", text) for text in promoted]
    return " ".join(dict.fromkeys(words))
