"""What a worker is told to do, and where it goes on. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.engine.config import ExperimentConfig
from experiments.engine.records import Stage


@dataclass(frozen=True)
class Job:
    """What to do, where to put it, and on which device with how many processor threads.

    `model_path` is the folder of a built-in or local model, `corpus_path` the file of an uploaded corpus, and
    `start_folder` the folder of the experiment that `config` starts from. Hidden states that are kept, up to
    `cache_quota_bytes` of all experiments together, are remembered as used by `user`. With `captures_ahead` the next
    segment is captured while one is trained on, which gives the same weights; None does so on CUDA alone, because on a
    processor both would want the same cores.
    """

    config: ExperimentConfig
    folder: Path
    model_path: str
    corpus_path: Path | None
    cache_folder: Path
    device: str
    threads: int
    start_folder: Path | None = None
    cache_quota_bytes: int = 0
    user: str = ""
    captures_ahead: bool | None = None

    @property
    def overlaps(self) -> bool:
        """Whether the next segment is captured while one is trained on."""
        return self.device.startswith("cuda") if self.captures_ahead is None else self.captures_ahead


@dataclass(frozen=True)
class ResumePoint:
    """Where an interrupted job goes on: the stage it was in, and the last checkpoint that was reported."""

    stage: str
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None

    @property
    def first_stage(self) -> Stage:
        """The stage to begin with: training goes on from a checkpoint, and without one begins with the capture."""
        if self.stage in ("evaluation", "harvest"):
            return self.stage  # type: ignore[return-value]  # mypy does not narrow a str to a Literal
        return "training" if self.checkpoint else "capture"
