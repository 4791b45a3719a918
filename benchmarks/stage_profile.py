"""Where an experiment's time goes, from click to catalogue, and what each part cannot be faster than.

    make profile                                     # the built-in model, and GPT-2 small's shape on 1M tokens
    make profile ARGS="--only builtin --write"       # puts the table into docs/performance.md
    make profile ARGS="--tokens 100000"              # fewer tokens for GPT-2's shape
    make profile ARGS="--before 0024414"             # beside the same experiments on an earlier commit
    make profile ARGS="--growth"                     # what doubling tokens, features, width or members costs instead

Each experiment runs in a process of its own, over SQLite in a temporary folder. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.documents import write_section
from benchmarks.earlier import checkout_of
from benchmarks.folders import RESULTS, ROOT
from benchmarks.machine import describe
from benchmarks.parts_of_an_experiment import ORDER
from benchmarks.profiled import BUILTIN, GPT2, NO_FLOORS, Case

SMALLEST_SHOWN = 0.0005  # of the whole


def main() -> int:
    options = _options()
    if options.growth:
        text = growth.measured(options.threads, say)
        print(text)
        if options.write:
            write_section("growth", text)
        return 0
    cases = {"builtin": BUILTIN, "gpt2": replace(GPT2, tokens=options.tokens)}
    for name in options.only or cases:
        say(f"{name}: {cases[name].tokens:,} tokens")
        found = profile_of(cases[name], options.threads)
        if options.before:
            with checkout_of(options.before) as folder:
                before = profile_of(cases[name], options.threads, folder)
            found["before"] = before | {"commit": options.before}
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"profile-{name}.json").write_text(json.dumps(found, indent=1))
        text = table(found)
        print(text)
        if options.write:
            write_section(f"profile {name}", text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Profile an experiment from click to catalogue.")
    parser.add_argument("--only", action="append", choices=("builtin", "gpt2"))
    parser.add_argument("--tokens", type=int, default=GPT2.tokens, help="training tokens for GPT-2's shape")
    parser.add_argument("--threads", type=int, help="processor threads (default: what this process may use)")
    parser.add_argument("--before", metavar="COMMIT", help="run the same on an earlier commit too, and tell both")
    parser.add_argument("--growth", action="store_true", help="measure what doubling something costs")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    return parser.parse_args()


def profile_of(case: Case, threads: int | None = None, folder: Path = ROOT) -> dict[str, Any]:
    """Runs the case in a process of its own, on the code in `folder`; floors are told of ours alone.

    Raises SystemExit when it fails.
    """
    command = [sys.executable, "-m", "benchmarks.profiled", json.dumps(asdict(case))]
    command += [] if folder == ROOT else [NO_FLOORS]
    if threads and sys.platform == "linux":
        command = ["taskset", "-c", f"0-{threads - 1}", *command]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"The experiment could not be profiled (exit code {done.returncode}).")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def table(found: dict[str, Any]) -> str:
    """A section of Markdown: the parts in the order of an experiment's life, with their floors."""
    case, total, machine, before = found["case"], found["total"], describe(), found.get("before")
    was = f" ({before['total']:.1f} s on {before['commit']})" if before else ""
    lines = [
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, {' '.join(machine['flags'])}; "
        f"load before {machine['load_before']}; steps: {found['path'] or 'path unknown'}.",
        f"{case['model']}, layer {case['layer']}, {case['tokens']:,} training tokens, {case['n_features']:,} features, "
        f"k {case['k']}: **{total:.1f} s** from click to catalogue{was}, {found['rss_mb']:,.0f} MB at most.",
        "",
        f"| Part |{' Before, seconds |' if before else ''} Seconds | Share | Floor, seconds | What the floor is |",
        f"|---|{'---|' if before else ''}---|---|---|---|",
    ]
    for part in ORDER:
        seconds = found["seconds"].get(part, 0.0)
        earlier = before["seconds"].get(part, 0.0) if before else 0.0
        floor, what = found["floors"].get(part, (None, ""))
        if max(seconds, earlier) >= SMALLEST_SHOWN * total or floor:
            cells = [part, *([f"{earlier:.2f}"] if before else []), f"{seconds:.2f}", f"{seconds / total:.1%}"]
            lines.append(f"| {' | '.join(cells)} | {'' if floor is None else f'{floor:.2f}'} | {what} |")
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
