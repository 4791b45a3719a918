"""How the text of a token is shown and searched: tokens are often blanks or line ends.

The harvest's vocabulary has already written every character that cannot be seen as its number (⟨E2⟩); what is left are
spaces, tabs and line ends.
"""

from __future__ import annotations

_BREAKS = str.maketrans({"\n": "↵", "\t": "→"})
_BLANKS = str.maketrans({"\n": "↵", "\t": "→", " ": "·"})


def visible(text: str) -> str:
    """Every character as something one can see: a space as a middle dot, a line end as an arrow."""
    return text.translate(_BLANKS)


def running(text: str) -> str:
    """For running text: like `visible`, but spaces beside something else stay spaces, so that words come apart."""
    return text.translate(_BREAKS) if text.strip() else visible(text)


def silent(text: str) -> str:
    """For text that only surrounds something: spaces stay spaces, even where a token is nothing else."""
    return text.translate(_BREAKS)


def search_form(text: str) -> str:
    """What a token is found by: without blanks around it and in lower case; blanks alone as `visible` shows them."""
    return text.strip().casefold() or visible(text)
