"""Families of explanations: each gives every token one key, and says in words what a set of keys means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.explaining.harvest_view import NOTHING, HarvestView
from features.explaining.token_classes import CLASSES
from features.readable_text import visible

NAMED = 3  # how many members of a set a label names
_BASE = len(CLASSES) + 1
_INSIDE = ("outside", "inside quotation marks", "inside brackets")

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """`keys`: of all positions. `describe` names so many of a set at most. `complexity` is what a simpler one is ahead.

    `members_maximum`: more of them explain nothing.
    """

    name: str
    keys: Keys
    view: HarvestView
    describe: Callable[[HarvestView, Sequence[int], int], str]
    complexity: float
    members_maximum: int

    @cached_property
    def explaining_keys(self) -> Keys:
        return self.keys[self.view.explains]

    @cached_property
    def known(self) -> tuple[Keys, Keys]:
        """The keys in the explaining half, rising, and how often each stands there."""
        return np.unique(self.explaining_keys, return_counts=True)


def families_of(view: HarvestView) -> list[Family]:
    """All families of a text, the simplest first."""
    kinds, tokens = max(1, len(view.kinds)), len(view.vocabulary)
    classes = view.token_class
    found = [
        Family("token", view.token, view, _tokens, 0, 12),
        Family("class", classes, view, _classes, 0.01, 4),
        Family("token before", view.before, view, _after_tokens, 0.02, 12),
        Family("token after", view.after, view, _before_tokens, 0.03, 12),
        Family("two tokens", (view.before + 1) * tokens + view.token, view, _pairs, 0.04, 12),
        Family("two classes", view.class_before * _BASE + classes, view, _class_pairs, 0.04, 6),
        Family("place in brackets", view.inside * _BASE + classes, view, _inside, 0.04, 6),
        Family("place in the text", np.minimum(view.offset, 8), view, _offsets, 0.04, 4),
    ]
    if view.kinds:
        found += [
            Family("kind of document", view.kind, view, _kinds, 0.02, 4),
            Family("token in a kind", view.token * kinds + np.maximum(view.kind, 0), view, _tokens_in_kinds, 0.06, 12),
        ]
    return found


def quoted(view: HarvestView, token: int) -> str:
    return "the beginning" if token == NOTHING else f"“{visible(view.vocabulary[token])}”"


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """a; a and b; a, b and c; a, b, c and 4 more."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _tokens(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return f"the token{_s(keys)} {listed([quoted(view, key) for key in keys], most)}"


def _after_tokens(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return f"after {listed([quoted(view, key) for key in keys], most)}"


def _before_tokens(view: HarvestView, keys: Sequence[int], most: int) -> str:
    names = ["the end" if key == NOTHING else quoted(view, key) for key in keys]
    return f"before {listed(names, most)}"


def _pairs(view: HarvestView, keys: Sequence[int], most: int) -> str:
    pairs = [divmod(key, len(view.vocabulary)) for key in keys]
    return _joined([(quoted(view, token), f"after {quoted(view, before - 1)}") for before, token in pairs], most)


def _classes(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return listed([CLASSES[key] for key in keys], most)


def _class_pairs(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return listed([f"{CLASSES[key % _BASE]} after {_class_before(key // _BASE)}" for key in keys], most)


def _class_before(code: int) -> str:
    return CLASSES[code] if code < len(CLASSES) else "the beginning"


def _inside(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return listed([f"{CLASSES[key % _BASE]} {_INSIDE[key // _BASE]}" for key in keys], most)


def _offsets(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return f"token {listed([f'{key + 1}' if key < 8 else '9 and later' for key in sorted(keys)], most)} of a passage"


def _kinds(view: HarvestView, keys: Sequence[int], most: int) -> str:
    return f"in {listed([_kind(view, key) for key in keys], most)} documents"


def _tokens_in_kinds(view: HarvestView, keys: Sequence[int], most: int) -> str:
    pairs = [divmod(key, len(view.kinds)) for key in keys]
    return _joined([(quoted(view, token), f"in {_kind(view, kind)} documents") for token, kind in pairs], most)


def _joined(pairs: Sequence[tuple[str, str]], most: int) -> str:
    """What pairs have in common is said once: “a” and “b” in poems; “a” after “x” and after “y”."""
    names, places = list(dict.fromkeys(name for name, _ in pairs)), list(dict.fromkeys(place for _, place in pairs))
    if len(names) == 1 or len(places) == 1:
        return f"{listed(names, most)} {listed(places, most)}"
    return listed([f"{name} {place}" for name, place in pairs], most)


def _kind(view: HarvestView, kind: int) -> str:
    return view.kinds[kind].replace("_", " ") if kind >= 0 else "other"


def _s(keys: Sequence[int]) -> str:
    return "s" if len(keys) > 1 else ""
