"""Why an experiment failed, in one sentence for the person who started it; the stack trace is for the log only."""

from __future__ import annotations

import errno

from latentlens.lib.problems import Problem


def explain(error: BaseException, stage: str) -> str:
    """One sentence. The engine's own refusals are sentences already; anything else is described by its kind."""
    if isinstance(error, Problem):
        return error.message
    if isinstance(error, ValueError) and type(error).__module__.startswith("experiments.engine"):
        return str(error)
    if is_out_of_gpu_memory(error):
        return (
            "The GPU's memory ran out, although batches were already computed in two parts where that helps: choose a "
            "smaller batch, fewer features, a shorter segment or a smaller model."
        )
    if is_out_of_memory(error):
        return "Memory ran out: choose fewer features, fewer harvest tokens or a smaller model, or free some memory."
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "The disk is full: free some space, then resume the experiment."
    where = f"in the stage “{stage}”" if stage else "before the first stage"
    return f"Something unexpected happened {where} ({type(error).__name__}); the worker's log has the details."


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, torch's on a GPU, and torch's on the CPU, which is a plain RuntimeError."""
    is_cpu = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    return is_cpu or is_out_of_gpu_memory(error)


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """By name, because this module does without torch."""
    return "OutOfMemoryError" in {kind.__name__ for kind in type(error).__mro__}
