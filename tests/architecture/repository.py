"""The files of the repository that the architecture tests look at."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("latentlens", "experiments", "features", "lens")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git knows or would add, except vendored ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else _walked()
    return tuple(path for name in names if (path := ROOT / name).is_file() and "vendor" not in path.parts)


def python_files(*folders: str) -> Iterator[Path]:
    """Python files below `folders`, without migrations: those are generated."""
    for path in tracked_files():
        inside = path.relative_to(ROOT).parts
        if path.suffix == ".py" and inside[0] in folders and "migrations" not in inside:
            yield path


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _walked() -> list[str]:
    """For a copy of the repository without git, such as an unpacked archive."""
    skipped = {".venv", "var", ".git", "node_modules", ".mypy_cache", ".ruff_cache"}
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not skipped & set(path.relative_to(ROOT).parts)]
