"""What the figures were measured on: processor, memory, versions, date. No torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.environments import ALL

TOLD_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8")
OURS = ("torch", "numpy", "numba", "transformers", "tokenizers")


def describe() -> dict[str, Any]:
    """Plain JSON."""
    processor = _processor()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor["name"],
        "flags": [flag for flag in TOLD_FLAGS if flag in processor["flags"]],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {"Python": platform.python_version()} | _versions(),
        "peers": {environment.name: " ".join(environment.packages) for environment in ALL},
    }


def has_amx(machine: dict[str, Any]) -> bool:
    """Whether the processor multiplies bfloat16 matrices in tiles, for which the targets of speed were set."""
    return "amx_bf16" in machine["flags"]


def multiplies_bfloat16(machine: dict[str, Any]) -> bool:
    """Whether the processor has products of bfloat16; without, one takes hundreds of times as long as in float32."""
    return "avx512_bf16" in machine["flags"] or "amx_bf16" in machine["flags"]


def _processor() -> dict[str, Any]:
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", text, re.MULTILINE)
    return {
        "name": name[1] if name else platform.processor() or platform.machine(),
        "flags": flags[1].split() if flags else [],
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in OURS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
