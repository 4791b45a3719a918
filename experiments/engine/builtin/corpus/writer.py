"""Writing one document: templates go in, text with planted concepts comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import TypeVar

from experiments.engine.builtin.corpus.tails import may_follow
from experiments.engine.builtin.corpus.template import Close, Open, Slot, parse

T = TypeVar("T")

TAIL_CHANCE = 0.6


@dataclass(frozen=True, slots=True)
class Span:
    """The characters [start, stop) of a document's text, planted by one concept."""

    start: int
    stop: int
    concept: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Equally likely templates for one slot, and the concept, if any, that they all plant."""

    concept: str | None
    alternatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A word that was chosen once and is used again: the hero of a story, the town of a report."""

    concept: str | None
    text: str


Value = str | int | Choice


def words(concept: str | None, text: str) -> Rule:
    """A rule of single words, given as one string with spaces between them."""
    return Rule(concept, tuple(text.split()))


def phrases(*templates: str, concept: str | None = None) -> Rule:
    """A rule of whole templates."""
    return Rule(concept, templates)


class Writer:
    """Collects the text of one document and the spans of its concepts.

    Every choice comes from the one seeded generator it is given, so a document is a function of its seed.
    """

    def __init__(
        self, rules: Mapping[str, Rule], random: Random, tails: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """`tails` are what may follow a word of a concept, by the concept's name."""
        self._rules = rules
        self._tails = tails or {}
        self._random = random.random
        self._parts: list[str] = []
        self._length = 0
        self._spans: list[Span] = []
        self._bound: dict[str, Value] = {}
        self._capital_next = False
        self._unused: dict[str, list[str]] = {}
        self._latest: dict[str, str] = {}

    @property
    def text(self) -> str:
        """What has been written so far."""
        return "".join(self._parts)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The planted concepts so far, in the order in which they ended."""
        return tuple(self._spans)

    def __call__(self, template: str, **values: Value) -> None:
        """Write a template; ``values`` fill its slots, here and in whatever is written later."""
        self._bound |= values
        self._expand(template)

    def sentences(self, *rules: str) -> None:
        """Write one template of each rule, as a paragraph; none comes twice before all have come once."""
        for rule in rules:
            unused = self._unused.get(rule)
            if not unused:
                unused = self._unused[rule] = list(self._rules[rule].alternatives)
            if self._parts and self._parts[-1][-1] != "\n":
                self._append(" ")
            self._plant(self._rules[rule].concept, unused.pop(int(self._random() * len(unused))), article=False)

    def bind(self, **rules: str) -> None:
        """Choose a word of each rule now and use it for that slot from now on."""
        for slot, rule in rules.items():
            self._bound[slot] = self.word(rule)

    def word(self, rule: str) -> Choice:
        """A word of a rule of plain words, to be kept."""
        return Choice(self._rules[rule].concept, self.pick(self._rules[rule].alternatives))

    def distinct(self, rule: str, count: int) -> list[Choice]:
        """``count`` different words of a rule of plain words, in random order."""
        return [Choice(self._rules[rule].concept, text) for text in self.several(self._rules[rule].alternatives, count)]

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._random() * len(options))]

    def several(self, options: Sequence[T], count: int) -> list[T]:
        """``count`` different options in random order."""
        left = list(options)
        return [left.pop(int(self._random() * len(left))) for _ in range(count)]

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random() < probability

    def _expand(self, template: str) -> None:
        opened: list[tuple[int, str]] = []
        pieces = parse(template)
        for piece, following in zip_longest(pieces, pieces[1:], fillvalue=""):
            if isinstance(piece, str):
                self._append(piece)
            elif isinstance(piece, Slot):
                concept = self._fill(piece)
                if isinstance(following, str) and may_follow(following):
                    self._write_tail(concept)
            elif isinstance(piece, Open):
                opened.append((self._length, piece.concept))
            elif isinstance(piece, Close):
                start, concept = opened.pop()
                self._spans.append(Span(start, self._length, concept))

    def _write_tail(self, concept: str | None) -> None:
        tails = self._tails.get(concept or "")
        if tails and self.chance(TAIL_CHANCE):
            self._append(" " + self.pick(tails))

    def _fill(self, slot: Slot) -> str | None:
        """Write what the slot stands for; its concept if it has one."""
        self._capital_next = self._capital_next or slot.capital
        value = self._bound.get(slot.name)
        if value is None:
            rule = self._rules[slot.name]
            self._plant(rule.concept, self._unlike_the_last(slot.name, rule.alternatives), slot.article)
            return rule.concept
        if isinstance(value, Choice):
            self._plant(value.concept, value.text, slot.article)
            return value.concept
        self._plant(None, str(value), slot.article)
        return None

    def _unlike_the_last(self, rule: str, alternatives: tuple[str, ...]) -> str:
        """A random alternative that is not the one this rule gave before, so that no sentence names a thing twice."""
        chosen = self.pick(alternatives)
        while chosen == self._latest.get(rule) and len(alternatives) > 1:
            chosen = self.pick(alternatives)
        self._latest[rule] = chosen
        return chosen

    def _plant(self, concept: str | None, template: str, article: bool) -> None:
        if article:
            self._append("an " if template[0] in "aeiou" else "a ")
        start = self._length
        if "{" in template or "[" in template:
            self._expand(template)
        else:
            self._append(template)
        if concept is not None:
            self._spans.append(Span(start, self._length, concept))

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._capital_next:
            text = text[:1].upper() + text[1:]
            self._capital_next = False
        self._parts.append(text)
        self._length += len(text)
