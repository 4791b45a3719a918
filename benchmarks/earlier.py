"""An earlier commit under today's benchmarks, so that one ruler says what was before and what is after."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.folders import KEPT, ROOT


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """A folder with that commit and the benchmarks of this one, as long as it is needed. Raises SystemExit."""
    KEPT.mkdir(exist_ok=True)
    folder = KEPT / f"at-{commit}"
    _git("worktree", "add", "--force", "--detach", str(folder), commit)
    try:
        shutil.rmtree(folder / "benchmarks", ignore_errors=True)
        shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
        (folder / KEPT.name).symlink_to(KEPT)  # the same models and texts
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*command: str) -> None:
    done = subprocess.run(["git", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
