"""The documents of the built-in corpus: any of them, from a seed and an index alone."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from experiments.engine.builtin.corpus import code, figures, household, languages, prose, reference, reports
from experiments.engine.builtin.corpus.lexicon import LEXICON
from experiments.engine.builtin.corpus.tails import TAILS
from experiments.engine.builtin.corpus.writer import Rule, Span, Writer

TRAINING_SEED = 1
HELD_OUT_SEED = 2

FAMILIES = (prose, reports, household, figures, code, reference, languages)
RULES: dict[str, Rule] = LEXICON | {name: rule for family in FAMILIES for name, rule in family.RULES.items()}
KINDS: dict[str, Callable[[Writer], None]] = {
    name: write for family in FAMILIES for name, write in family.KINDS.items()
}

_KIND_NAMES = tuple(KINDS)


@dataclass(frozen=True, slots=True)
class PlantedDocument:
    """A generated text, its kind, and the spans of characters on which concepts were planted."""

    kind: str
    text: str
    spans: tuple[Span, ...]


def document(seed: int, index: int) -> PlantedDocument:
    """Document ``index`` of the endless corpus with this seed; depends on nothing else."""
    random = Random(f"{seed}/{index}")  # noqa: S311 - a seeded text generator, not a secret
    kind = _KIND_NAMES[int(random.random() * len(_KIND_NAMES))]
    write = Writer(RULES, random, TAILS)
    KINDS[kind](write)
    return PlantedDocument(kind, write.text, write.spans)


def token_concepts(document: PlantedDocument, offsets: Sequence[tuple[int, int]]) -> list[frozenset[str]]:
    """The concepts of each token: those whose span covers the token's last character.

    Args:
        document: the document that was tokenized.
        offsets: for each token the characters [start, stop) of ``document.text`` it stands for, in rising order; an
            empty range, as special tokens have, carries no concept.
    """
    lasts = [stop - 1 for _, stop in offsets]
    concepts: list[set[str]] = [set() for _ in lasts]
    for span in document.spans:
        for token in range(bisect_left(lasts, span.start), bisect_left(lasts, span.stop)):
            concepts[token].add(span.concept)
    return [
        frozenset(found) if stop > start else frozenset()
        for found, (start, stop) in zip(concepts, offsets, strict=True)
    ]
