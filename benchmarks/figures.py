"""Figures that stand alone: what was measured, how much, in which unit; also those of a process of its own.

A process says each figure in a line of its own, which both a person and `figures_of` can read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from benchmarks.folders import ROOT

Figure: TypeAlias = tuple[str, float, str]
SAID_CHARACTERS = 200  # of the last line that a process wrote before it failed


def tell(what: str, value: float, unit: str = "") -> None:
    print(f"{what:<60}\t{value:>14,.2f}\t{unit}", flush=True)


def figures_of(module: str, *arguments: str, data: Path | None = None, database: str = "") -> Iterator[Figure]:
    """What `python -m module` tells, as it tells it; on the installation in the folder `data`, and its SQLite file or
    the `database` at this URL.

    Raises RuntimeError with the last line that it wrote where it fails.
    """
    variables = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    if data is not None:
        variables |= {"DATA_DIR": str(data), "ENV_FILE": os.devnull, "DJANGO_SETTINGS_MODULE": "latentlens.settings"}
    if database:
        variables["DATABASE_URL"] = database
    command = [sys.executable, "-m", module, *arguments]
    last = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout, "it was asked for"
        for line in process.stdout:
            last = line.strip() or last
            if line.count("\t") == 2:
                what, value, unit = (part.strip() for part in line.split("\t"))
                yield what, float(value.replace(",", "")), unit
    if process.returncode:
        raise RuntimeError(f"{module}: exit code {process.returncode} ({last[:SAID_CHARACTERS]})")
