"""The generated corpus: documents of many kinds in which every token carries the concepts that produced it."""

from experiments.engine.builtin.corpus.documents import (
    HELD_OUT_SEED,
    KINDS,
    TRAINING_SEED,
    PlantedDocument,
    document,
    token_concepts,
)
from experiments.engine.builtin.corpus.writer import Span

__all__ = ["HELD_OUT_SEED", "KINDS", "TRAINING_SEED", "PlantedDocument", "Span", "document", "token_concepts"]
