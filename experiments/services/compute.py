"""What this machine has, within the limits of its container: processor cores, memory, and a device to compute on."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_threads() -> int:
    """How many threads can really run at once: the cores we may use, within the container's quota; at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _cpu_quota() or allowed))


def memory_bytes() -> int:
    """The memory of this machine, or of its container where that has less.

    All of it, not what is free now: experiments wait for each other, and the web process plans for later.
    """
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(CGROUP / "memory.max")
    return min(installed, int(limit)) if limit.isdecimal() else installed


def resolve_device(wanted: str) -> str:
    """`auto` becomes cuda, mps or cpu, whichever is there first. Imports torch: for workers only."""
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_quota() -> int | None:
    """Whole cores of the container's quota ("200000 100000" means two), or None without one."""
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    return max(1, int(quota) // int(period)) if quota.isdecimal() and period.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
