"""The form of an explanation."""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT = "Held-out text tokens (evaluation_tokens), without special tokens and outliers."
PREDICTED = (
    "Predictions made from held-out text tokens (splice_tokens), whatever token follows but not padding. Special "
    "tokens and outliers keep their own hidden state in every splice."
)
WEIGHTS = "None: it is of the weights alone."
PLANTED = "Held-out tokens of the built-in corpus. Chosen on even documents, scored on odd ones."
SAME = "They agree."
# Said where nobody has published what is good, so that no page gives a number that is only somebody's taste.
NO_RANGE = "No range is published: compare SAEs of one place of one model."
DEMO = "No range is published; the demo on the built-in model (docs/builtin.md) has"


@dataclass(frozen=True)
class Explanation:
    """The words behind a metric's name; the page and docs/metrics are made from them.

    `keys` are the further keys of the quality numbers that this explanation is of; `elsewhere` says how SAELens,
    SAEBench, dictionary_learning and others differ.
    """

    title: str
    formula: str
    meaning: str
    good: str
    tokens: str = HELD_OUT
    elsewhere: str = SAME
    keys: tuple[str, ...] = ()
    name: str = ""  # the key of the number itself, in the address of its page
