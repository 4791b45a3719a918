"""The facts that the engine's generators yield while they work; the runner saves and publishes them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Stage: TypeAlias = Literal["capture", "training", "evaluation", "harvest"]
STAGES: tuple[Stage, ...] = ("capture", "training", "evaluation", "harvest")


@dataclass(frozen=True)
class ModelLoaded:
    """The language model is in memory; `revision` is the commit of a hub model."""

    revision: str | None
    parameters: int


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `step` of `steps`, `tokens` done; yielded at least about once a second."""

    stage: Stage
    step: int
    steps: int
    tokens: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Measurement:
    """Training metrics at one step. `values` holds loss, explained_variance, l0, dead_share, learning_rate, ..."""

    step: int
    tokens: int
    values: dict[str, float]


@dataclass(frozen=True)
class Checkpointed:
    """A checkpoint is safely on disk under `name`; yielded only after it was synced and moved into place."""

    name: str
    sha256: str
    step: int


@dataclass(frozen=True)
class StageFinished:
    """A stage has ended and its files are complete; `values` is plain JSON."""

    stage: Stage
    values: dict[str, Any]


@dataclass(frozen=True)
class MemberFailed:
    """What stopped one of the experiments that are trained side by side; the others go on."""

    error: Exception


@dataclass(frozen=True)
class ResourcesUsed:
    """What the process took until the end of a stage: its largest memory, that of its GPU, and how it computed.

    It took that for all `experiments` together that it trained side by side.
    """

    stage: Stage
    path: str
    memory_bytes: int
    gpu_memory_bytes: int | None
    experiments: int = 1


Record: TypeAlias = ModelLoaded | Progress | Measurement | Checkpointed | ResourcesUsed | StageFinished
