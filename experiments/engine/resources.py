"""What a stage really took: the largest memory of this process and of its GPU, and the path its numbers took."""

from __future__ import annotations

import resource
import sys
from collections.abc import Generator, Iterator
from contextlib import closing

import torch

from experiments.engine.compute_path import compute_path
from experiments.engine.records import Record, ResourcesUsed, Stage, StageFinished

# getrusage counts in kilobytes, but for macOS.
RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024


def resources_used(stage: Stage, device: str, precision: str, experiments: int = 1) -> ResourcesUsed:
    """The largest values since this process began; a worker has a process of its own for each task.

    `precision` is that of training steps.
    """
    path = compute_path(device, precision if stage == "training" else "float32")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RESIDENT_UNIT
    gpu_memory = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
    return ResourcesUsed(stage, path, memory, gpu_memory, experiments)


def with_resources(records: Generator[Record, None, None], device: str, precision: str) -> Iterator[Record]:
    """The same records, and before each end of a stage what it took; `precision` is that of training steps."""
    with closing(records):
        for record in records:
            if isinstance(record, StageFinished):
                yield resources_used(record.stage, device, precision)
            yield record
