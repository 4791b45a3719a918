"""Where the benchmarks keep what they install, make and measure; nothing of it belongs to git."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".bench"
ENVIRONMENTS = KEPT / "environments"  # the peers, each with its own packages
INPUTS = KEPT / "inputs"  # what all sides read: hidden states, models, texts
RESULTS = KEPT / "results"  # one JSON file for each run
PERFORMANCE = ROOT / "docs" / "performance.md"
BUILTIN_MODEL = ROOT / "experiments" / "engine" / "builtin" / "model"
