"""How the engine is run here: in a process such as a worker's, its generators driven for their result alone."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import torch

from latentlens.lib.large_blocks import keep_large_blocks

Result = TypeVar("Result")


def as_in_a_worker(threads: int) -> None:
    """Gives this process what the child of a worker has: its memory until it ends, and so many threads."""
    keep_large_blocks()
    torch.set_num_threads(threads)


def finished(work: Generator[Any, None, Result]) -> Result:
    """What a generator returns in the end."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        result: Result = end.value
        return result
