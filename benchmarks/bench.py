"""The benchmarks: every row of the table of targets, in one run.

    make bench                                          # all rows; the peers come from make bench-peers
    make bench ARGS="--only step --rounds 5"            # some of them
    make bench ARGS="--write"                           # and puts the table into docs/performance.md
    make bench ARGS="--from .bench/results/FILE.json"   # shows (or writes) a run that is over

Progress goes to stderr. What has been measured is saved after every comparison, so that an interrupted run is not lost.
A side that fails says why in its row, and the rest goes on. Nothing else should use the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Error

from benchmarks import report, workbench
from benchmarks.comparisons import PARTS, Scale, groups
from benchmarks.documents import write_section
from benchmarks.folders import RESULTS
from benchmarks.machine import describe
from benchmarks.rounds import interleaved

ROUNDS = 3


def main() -> int:
    options = _options()
    results = json.loads(options.shown.read_text()) if options.shown else _measured(options)
    print(report.as_text(results))
    if options.write:
        write_section("bench", report.as_markdown(results))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Latent Lens beside its peers.")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part (may be given several times)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", type=int, action="append", help="sizes of the SAEs (default 24576 and 4096)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--from", dest="shown", type=Path, metavar="FILE", help="results of an earlier run")
    return parser.parse_args()


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    parts, started = set(options.only or PARTS), time.monotonic()
    scale = Scale(threads=options.threads)
    if options.features:
        scale = Scale(threads=options.threads, sizes=tuple(options.features))
    path = RESULTS / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    results: dict[str, Any] = {"machine": describe(), "rounds": options.rounds, "groups": {}}
    for group in groups(parts, scale):
        say(f"{group.name} ({time.monotonic() - started:.0f} s so far)")
        rounds = min(options.rounds, group.most_rounds)
        outcomes = interleaved(group.contenders, rounds, say, steps=group.steps)
        spec = json.loads(group.spec.as_text())
        results["groups"][group.name] = {"spec": spec, "outcomes": [outcome.as_json() for outcome in outcomes]}
        save(path, results)
    if "workbench" in parts:
        say(f"workbench ({time.monotonic() - started:.0f} s so far)")
        results["workbench"] = _workbench()
        save(path, results)
    say(f"done in {time.monotonic() - started:.0f} s: {path}")
    return results


def _workbench() -> dict[str, Any]:
    """The figures of the running installation, as far as it got."""
    found: dict[str, Any] = {"figures": [], "failed": ""}
    try:
        for figure in workbench.figures():
            found["figures"].append(figure)
            say(f"  {figure[0]:<44} {figure[1]:>8.2f} {figure[2]}")
    except (RuntimeError, OSError, subprocess.SubprocessError, Error) as error:
        found["failed"] = str(error)
        say(f"  failed: {error}")
    return found


def save(path: Path, results: dict[str, Any]) -> None:
    """Writes what there is so far; an interruption leaves the file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1))
    partial.replace(path)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
