"""The benchmarks: every row of the table of targets, in one run.

    make bench                                          # all rows; the peers come from make bench-peers
    make bench ARGS="--only step --rounds 5"            # some of them
    make bench ARGS="--quick"                           # one round of the main rows, TopK only
    make bench ARGS="--write"                           # and puts the table into docs/performance.md
    make bench ARGS="--from .bench/results/FILE.json"   # shows (or writes) a run that is over
    make bench ARGS="--only e2e --onto .bench/results/FILE.json"   # measures a part of it anew

Progress goes to stderr. What has been measured is saved after every comparison, so that an interrupted run is not lost.
A side or a part that fails says why in its row, and the rest goes on. Nothing else should use the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.comparisons import PARTS, QUALITY_RATE, Scale, groups
from benchmarks.documents import write_section
from benchmarks.figure_parts import FIGURE_PARTS, Circumstances, FigurePart
from benchmarks.folders import RESULTS
from benchmarks.machine import describe, multiplies_bfloat16
from benchmarks.rounds import interleaved

ROUNDS = 3
ALL_PARTS = (*PARTS, *FIGURE_PARTS)
WHOLE = "bench"  # the section with every row of the table
QUICK_PARTS = ("step", "e2e", "quality", "workbench", "catalogue", "labelling", "labels")


def main() -> int:
    options = _options()
    results = json.loads(options.shown.read_text()) if options.shown else _measured(options)
    print(report.as_text(results))
    if options.write:
        write_section(options.write, report.as_markdown(results, complete=options.write == WHOLE))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Latent Lens beside its peers.")
    parser.add_argument("--only", action="append", choices=ALL_PARTS, help="a part (may be given several times)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one round of {', '.join(QUICK_PARTS)}: TopK alone, quality at one learning rate, a small catalogue; "
        "meant to end in about eight minutes on two quiet cores",
    )
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}; 1 with --quick")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", type=int, action="append", help="sizes of the SAEs (default 24576 and 4096)")
    parser.add_argument("--postgres", default="", metavar="URL", help="a server for catalogue-postgres")
    parser.add_argument(
        "--write", nargs="?", const=WHOLE, metavar="SECTION", help="put the table into docs/performance.md"
    )
    parser.add_argument("--onto", type=Path, metavar="FILE", help="measure --only anew, keep the rest of that run")
    parser.add_argument("--from", dest="shown", type=Path, metavar="FILE", help="results of an earlier run")
    return parser.parse_args()


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    started, rounds = time.monotonic(), options.rounds or (1 if options.quick else ROUNDS)
    parts = set(options.only or (QUICK_PARTS if options.quick else ALL_PARTS))
    scale = _scale(options)
    path = RESULTS / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    results = _run_before(options.onto) if options.onto else _new_run(rounds)
    for group in groups(parts, scale):
        say(f"{group.name} ({time.monotonic() - started:.0f} s so far)")
        outcomes = interleaved(group.contenders, min(rounds, group.most_rounds), say, steps=group.steps)
        spec = json.loads(group.spec.as_text())
        results["groups"][group.name] = {"spec": spec, "outcomes": [outcome.as_json() for outcome in outcomes]}
        _note_when(results, group.name, rounds)
        save(path, results)
    for name, part in FIGURE_PARTS.items():
        if name in parts:
            say(f"{name} ({time.monotonic() - started:.0f} s so far)")
            results["figures"][name] = _figures(part, Circumstances(options.quick, options.postgres))
            _note_when(results, name, 1)
            save(path, results)
    say(f"done in {time.monotonic() - started:.0f} s: {path}")
    return results


def _new_run(rounds: int) -> dict[str, Any]:
    return {"machine": describe(), "rounds": rounds, "groups": {}, "figures": {}, "later": None}


def _run_before(path: Path) -> dict[str, Any]:
    """Results of which parts are measured anew; `later` says when each was."""
    results: dict[str, Any] = json.loads(path.read_text())
    return results | {"later": results.get("later") or {}}


def _note_when(results: dict[str, Any], name: str, rounds: int) -> None:
    if results["later"] is not None:
        results["later"][name] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, rounds: {rounds}"


def _scale(options: argparse.Namespace) -> Scale:
    scale = Scale(threads=options.threads, bfloat16=multiplies_bfloat16(describe()))
    if options.quick:
        scale = replace(scale, architectures=("topk",), quality_rates=(QUALITY_RATE,), falling_rates=())
    return replace(scale, sizes=tuple(options.features)) if options.features else scale


def _figures(part: FigurePart, run: Circumstances) -> dict[str, Any]:
    """The figures of a part, as far as it got."""
    found: dict[str, Any] = {"figures": [], "failed": ""}
    try:
        for what, value, unit in part.measure(run):
            found["figures"].append((what, value, unit))
            say(f"  {what:<60} {value:>12,.2f} {unit}")
    except Exception as error:  # whatever a part meets, its row says it, and the rest goes on
        found["failed"] = str(error) or type(error).__name__
        say(f"  failed: {found['failed']}")
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
