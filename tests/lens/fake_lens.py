"""Stands in for the engine's lens: whitespace makes the tokens, and a table says which features fire on which word."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class FakeActivation:
    index: int
    activation: float


@dataclass(frozen=True)
class FakeToken:
    position: int
    text: str
    special: bool
    features: tuple[FakeActivation, ...]
    active_count: int
    relative_error: float | None


@dataclass(frozen=True)
class FakeReading:
    tokens: tuple[FakeToken, ...]


class EnginePromptError(ValueError):
    """A refusal as the engine writes it: a sentence for a person."""


EnginePromptError.__module__ = "experiments.engine.analysis"


class FakeLens:
    """Feature 7 fires on every word with the strength of its length, and feature 3 only on names."""

    memory_bytes = 1000

    def __init__(self) -> None:
        self.texts: list[str] = []

    def read(self, text: str, top_k: int) -> FakeReading:
        self.texts.append(text)
        words = re.findall(r"\s*\S+", text)
        if len(words) > 20:
            raise EnginePromptError(f"The prompt has {len(words)} tokens, but the model reads at most 20.")
        tokens = [_token(position, word, top_k) for position, word in enumerate(words, start=1)]
        return FakeReading((FakeToken(0, "<s>", True, (), 0, None), *tokens))


def _token(position: int, word: str, top_k: int) -> FakeToken:
    features = [FakeActivation(7, len(word.strip()) / 2)]
    if word.strip().istitle():
        features.insert(0, FakeActivation(3, 10.0 + position))
    return FakeToken(position, word, False, tuple(features[:top_k]), len(features), 0.25)
