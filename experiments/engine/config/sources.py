"""What an experiment reads from: the language model, the place in it, the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from experiments.engine.config.choices import DTYPES
from experiments.engine.config.setting import setting


@dataclass(frozen=True)
class Place:
    """Where hidden states are read or replaced: a site of one block."""

    layer: int
    site: str


@dataclass(frozen=True)
class ModelConfig:
    """Which language model is read. A `revision` is the commit of a hub model; local models have none."""

    source: Literal["builtin", "local", "hub"]
    name: str
    revision: str | None = None
    dtype: str = setting(
        "float32", "Precision", "In which numbers the model's weights are held and computed with.", choices=DTYPES
    )

    @property
    def canonical(self) -> str:
        """The one string by which the model is known: `builtin`, `local:NAME` or `hub:ID`."""
        return "builtin" if self.source == "builtin" else f"{self.source}:{self.name}"


@dataclass(frozen=True)
class CorpusConfig:
    """Which text is read, and how. `column`, `configuration` and `split` apply to tables and hub data sets.

    With `chat_template` a document is a conversation that the model's own template writes out.
    """

    source: Literal["builtin", "upload", "hub"]
    name: str
    column: str | None = None
    configuration: str | None = None
    split: str | None = None
    revision: str | None = None
    content_hash: str | None = None
    chat_template: bool = False
    deduplicate: bool = setting(False, "Without duplicates", "Of identical documents only the first is read.")
    streaming: bool = setting(
        True, "Streamed", "A hub data set is fetched as it is read; otherwise it is downloaded whole first, and kept."
    )


@dataclass(frozen=True)
class StartConfig:
    """The finished SAE that training starts from, instead of random weights: whose it is, and its weights' hash."""

    experiment: int
    weights_sha256: str


@dataclass(frozen=True)
class ImportConfig:
    """Where an SAE comes from that is not trained here: the tool, the hash of its weights file, its own config."""

    tool: str
    version: str
    weights_sha256: str
    original: dict[str, Any]
    notes: list[str]
