"""The budgets of the design: short files, short functions, names that say something, a tidy root."""

from __future__ import annotations

import statistics

import pytest

from tests.architecture.repository import PACKAGES, ROOT, functions, python_files, tracked_files

NAMES_THAT_SAY_NOTHING = {"utils.py", "helpers.py", "common.py", "base.py", "misc.py"}
NAMED_BY_DJANGO = "latentlens/lib/sqlite_in_turn/base.py"  # where it looks for a database backend


def test_no_file_is_longer_than_400_lines() -> None:
    code = [path for path in tracked_files() if path.suffix in {".py", ".js", ".css", ".html"}]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in code}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_half_of_the_files_are_shorter_than_120_lines() -> None:
    lengths = [len(path.read_text("utf-8").splitlines()) for path in python_files(*PACKAGES)]
    assert statistics.median(lengths) < 120


def test_functions_are_short() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{name}": length
        for path in python_files(*PACKAGES)
        for name, length in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > 50} == {}
    ordered = sorted(lengths.values())
    assert statistics.median(ordered) < 10
    assert ordered[len(ordered) * 9 // 10] < 35


def test_file_names_say_something() -> None:
    chosen = [path for path in tracked_files() if path != ROOT / NAMED_BY_DJANGO]
    assert [str(path) for path in chosen if path.name in NAMES_THAT_SAY_NOTHING] == []


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later_without_an_issue(mark: str) -> None:
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python_files(*PACKAGES)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if f"# {mark}" in line and "issue " not in line
    ]
    assert left == []


def test_the_root_is_tidy() -> None:
    entries = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    visible = sorted(entry for entry in entries if not entry.startswith("."))
    assert len(visible) <= 20, visible
