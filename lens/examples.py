"""Prompts for somebody who has none in mind: each touches other things that a language model keeps apart."""

EXAMPLE_PROMPTS = (
    "When Lily woke up on Sunday morning, the little red ball was gone. She felt sad and called her mom.",
    "Weather for Oslo, Thursday: fog in the evening, 3 degrees. The ferry ticket costs $12.50.",
    "« Nous partons lundi matin », said the old man, and closed the door.",
    "def total(prices):\n    return sum(price for price in prices if price > 0)",
)
