"""What a label may hold, as one frozen value: the rules that every road to a label keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from latentlens.lib.numbers import parse_number
from latentlens.lib.problems import refused_field
from latentlens.lib.text import clean_name, clean_text

TEXT_MAXIMUM, NOTE_MAXIMUM = 200, 5_000
TAG_MAXIMUM, TAGS_MAXIMUM = 50, 20

# What people say instead of a number, and the number it stands for.
CONFIDENCE_WORDS = {"guess": 0.2, "likely": 0.6, "sure": 1.0}


@dataclass(frozen=True)
class LabelDraft:
    """The content of a label, already cleaned."""

    text: str
    note: str = ""
    tags: tuple[str, ...] = ()
    confidence: float | None = None

    @classmethod
    def of(cls, text: str, note: str = "", tags: Iterable[str] = (), confidence: Any = None) -> LabelDraft:
        """The draft as it may be stored. Raises `Refused` with one sentence for the first field that is unusable.

        `confidence` is a number from 0 to 1, as a number or as text, or a word of `CONFIDENCE_WORDS`; None or empty
        text: nothing is claimed.
        """
        return cls(
            text=clean_name(text, field="text", maximum=TEXT_MAXIMUM),
            note=clean_text(note, field="note", maximum=NOTE_MAXIMUM),
            tags=clean_tags(tags),
            confidence=None if confidence in (None, "") else parse_confidence(confidence),
        )


def parse_confidence(confidence: Any) -> float:
    """A number from 0 to 1, or a word. Raises `Refused`."""
    if isinstance(confidence, str) and confidence.strip().lower() in CONFIDENCE_WORDS:
        return CONFIDENCE_WORDS[confidence.strip().lower()]
    return parse_number(confidence, field="confidence", minimum=0.0, maximum=1.0)


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Lower case, single spaces, no doubles, in alphabetical order. Raises `Refused`."""
    names = sorted({clean_name(tag, field="tags", maximum=TAG_MAXIMUM).lower() for tag in tags})
    if any("," in name for name in names):
        raise refused_field("tags", "A tag cannot hold a comma: write two tags instead.")
    if len(names) > TAGS_MAXIMUM:
        raise refused_field("tags", f"A label takes {TAGS_MAXIMUM} tags at the most, not {len(names)}.")
    return tuple(names)


def tags_in(written: str) -> list[str]:
    """The tags in what a person wrote, with commas between them, not cleaned yet."""
    return [tag for tag in written.split(",") if tag.strip()]
