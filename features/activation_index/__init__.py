"""The only reader of an experiment's Parquet files: what a feature fired on, answered by DuckDB and numpy.

Every activation of the harvest is on disk, so counts are exact and examples are the true best ones. Columns and sorting
are those that `experiments.engine.harvest` writes, and docs/activation-index.md describes.
"""

from features.activation_index.co_firing import CoFiring, CoFiringFeature
from features.activation_index.counts import Counts, Histogram, TokenUse, WindowBin
from features.activation_index.examples import Example, ExamplePage, Stratum
from features.activation_index.files import IndexUnavailable
from features.activation_index.near_misses import NearMiss
from features.activation_index.passages import CARD_CONTEXT, PAGE_CONTEXT, Context, ExampleToken, Passage
from features.activation_index.reader import ActivationIndex

__all__ = [
    "CARD_CONTEXT",
    "PAGE_CONTEXT",
    "ActivationIndex",
    "CoFiring",
    "CoFiringFeature",
    "Context",
    "Counts",
    "Example",
    "ExamplePage",
    "ExampleToken",
    "Histogram",
    "IndexUnavailable",
    "NearMiss",
    "Passage",
    "Stratum",
    "TokenUse",
    "WindowBin",
]
