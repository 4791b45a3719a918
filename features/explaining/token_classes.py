"""What kind of thing the text of a token is: one class for each token of the vocabulary."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The name of a class as a label says it.
CLASSES = (
    "other tokens",
    "single digits",
    "numbers",
    "lower-case words",
    "capitalised words",
    "words in capitals",
    "single letters",
    "parts of words",
    "parts of words with a capital",
    "blanks",
    "line ends",
    "full stops",
    "commas",
    "colons and semicolons",
    "question and exclamation marks",
    "quotation marks",
    "opening brackets",
    "closing brackets",
    "hyphens and dashes",
    "currency signs",
    "mathematical signs",
    "other punctuation",
    "words with accents",
    "Cyrillic text",
    "Greek text",
    "Chinese or Japanese text",
    "Arabic or Hebrew text",
    "bytes of characters",
    "markup",
)
_CODES = {name: code for code, name in enumerate(CLASSES)}
_SINGLE = {
    ".": "full stops",
    ",": "commas",
    ":": "colons and semicolons",
    ";": "colons and semicolons",
    "?": "question and exclamation marks",
    "!": "question and exclamation marks",
}
_CATEGORIES = {
    "Ps": "opening brackets",
    "Pe": "closing brackets",
    "Pd": "hyphens and dashes",
    "Sc": "currency signs",
    "Sm": "mathematical signs",
    "Pi": "quotation marks",
    "Pf": "quotation marks",
}
_SCRIPTS = {
    "CYRILLIC": "Cyrillic text",
    "GREEK": "Greek text",
    "CJK": "Chinese or Japanese text",
    "HIRAGANA": "Chinese or Japanese text",
    "KATAKANA": "Chinese or Japanese text",
    "ARABIC": "Arabic or Hebrew text",
    "HEBREW": "Arabic or Hebrew text",
}


def classes_of(vocabulary: Sequence[str]) -> NDArray[np.uint8]:
    """The class of every token id: [vocabulary] codes, indices into CLASSES."""
    return np.fromiter((_CODES[_class_of(text)] for text in vocabulary), np.uint8, len(vocabulary))


def _class_of(text: str) -> str:
    bare = text.strip()
    if not bare:
        return "line ends" if "\n" in text else "blanks"
    if bare.startswith("⟨"):
        return "bytes of characters"
    if bare.startswith("<") and bare.endswith(">"):
        return "markup"
    if bare.isdecimal():
        return "single digits" if len(bare) == 1 else "numbers"
    if len(bare) == 1 and not bare.isalpha():
        return _sign(bare)
    if any(character.isalpha() for character in bare):
        return _word(text, bare)
    return _sign(bare[0]) if len(set(bare)) == 1 else "other punctuation"


def _sign(character: str) -> str:
    if character in "\"'“”‘’«»":
        return "quotation marks"
    if character in _SINGLE:
        return _SINGLE[character]
    return _CATEGORIES.get(unicodedata.category(character), "other punctuation")


def _word(text: str, bare: str) -> str:
    first = next(character for character in bare if character.isalpha())
    script = unicodedata.name(first, "").split(" ", 1)[0]
    if script in _SCRIPTS:
        return _SCRIPTS[script]
    if any(character.isalpha() and not character.isascii() for character in bare):
        return "words with accents"
    if len(bare) == 1:
        return "single letters"
    begins_word = text[0].isspace()
    if bare.isupper():
        return "words in capitals"
    if bare[0].isupper():
        return "capitalised words" if begins_word else "parts of words with a capital"
    return "lower-case words" if begins_word else "parts of words"
