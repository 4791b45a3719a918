"""What doubling one thing costs: tokens, features, width or members of a sweep; time and memory of the training."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.folders import ROOT
from benchmarks.machine import describe

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """A training on a random model of two blocks that reads the benchmark text."""

    tokens: int = 131_072
    features: int = 4_096
    width: int = 256
    members: int = 1
    context_length: int = 128
    threads: int = 2


DOUBLED = ("tokens", "features", "width", "members")
EXPECTED = {
    "tokens": "time x2; memory as before: a segment at a time",
    "features": "steps x2, forward as before; weights and Adam x2",
    "width": "forward up to x4, steps x2; hidden states and weights x2",
    "members": "steps x2, forward as before; weights and Adam x2",
}


def measured(threads: int | None, say: Say, base: Size | None = None) -> str:
    """A table in Markdown: the base, and each doubling beside it."""
    base = base or Size(threads=threads or 2)
    sizes = {"base": base} | {name: replace(base, **{name: 2 * getattr(base, name)}) for name in DOUBLED}
    found = {}
    for name, size in sizes.items():
        say(f"growth: {name} {asdict(size)}")
        found[name] = _trained(size)
    return _table(base, found)


def _trained(size: Size) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ours.grown", json.dumps(asdict(size))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"The training could not be measured (exit code {done.returncode}).")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _table(base: Size, found: dict[str, dict[str, Any]]) -> str:
    machine, first = describe(), found["base"]
    parts = sorted({part for measured in found.values() for part in measured["seconds"]})
    lines = [
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores; base: {base.tokens:,} tokens, "
        f"{base.features:,} features, width {base.width}, {base.members} member.",
        "",
        f"| Doubled | Seconds | | {' | '.join(parts)} | Peak MB | Expected |",
        f"|---|---|---|{'---|' * len(parts)}---|---|",
    ]
    for name, measured in found.items():
        seconds = [f"{measured['seconds'].get(part, 0.0):.1f}" for part in parts]
        times = "" if name == "base" else f"x{measured['total'] / first['total']:.2f}"
        lines.append(
            f"| {name} | {measured['total']:.1f} | {times} | {' | '.join(seconds)} | {measured['rss_mb']:,.0f} "
            f"| {EXPECTED.get(name, '')} |"
        )
    return "\n".join(lines) + "\n"
