"""Text for corpora of tests: short stories with names, days, prices and quotations, always the same ones."""

from __future__ import annotations

import random


def stories(count: int) -> str:
    """Documents with blank lines between them, varied enough that something can be learned."""
    generator = random.Random(0)
    names, things = ["Tom", "Lily", "Anna", "Ben"], ["ball", "dog", "garden", "cup of tea", "café"]
    days = ["Monday", "Tuesday", "Sunday"]
    sentences = [
        lambda: f"On {generator.choice(days)} {generator.choice(names)} saw a red {generator.choice(things)}.",
        lambda: f"{generator.choice(names)} said: “I want the {generator.choice(things)}!”",
        lambda: f"It cost {generator.randint(2, 99)} euros, so {generator.choice(names)} went home.",
        lambda: f"The {generator.choice(things)} was warm and {generator.choice(names)} was happy.",
    ]
    written = [" ".join(generator.choice(sentences)() for _ in range(generator.randint(4, 9))) for _ in range(count)]
    return "\n\n".join(written)
