"""What a process has needed. Standard library only: peers read it in environments of their own."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_memory_mb() -> float:
    """The largest resident memory of this process, in MB. Of its own: getrusage also counts what it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
