"""What this machine has, within the limits of its container: processor cores, memory, and a device to compute on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def cpu_threads() -> int:
    """How many threads can really run at once: the cores we may use, within the container's quota; at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *_cpu_quotas()]))


def memory_bytes() -> int:
    """The memory of this machine, or of its container where that has less.

    All of it, not what is free now: experiments wait for each other, and the web process plans for later.
    """
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_read(folder / name) for name in ("memory.max", "memory.limit_in_bytes") for folder in _cgroups("memory")]
    return min([installed, *(int(limit) for limit in limits if limit.isdecimal())])


def resolve_device(wanted: str) -> str:
    """`auto` becomes cuda, mps or cpu, whichever is there first. Imports torch: for workers only."""
    if wanted != "auto":
        return wanted
    import torch  # noqa: PLC0415 - the web process asks this module too, and has no torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_quotas() -> Iterator[int]:
    """Whole cores of each quota: version 2 says "200000 100000" for two of them, version 1 has two files."""
    for folder in _cgroups("cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        for number, per in (
            (quota, period),
            (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")),
        ):
            if number.isdecimal() and per.isdecimal() and int(per):
                yield max(1, int(number) // int(per))


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that hold this process, versions 1 and 2, from its own to the outermost.

    A container usually sees its own as the outermost; a service of systemd does not.
    """
    for line in _read(OWN_CGROUPS).splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controllers if controllers else CGROUPS
        own = root / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
