"""Sections of docs/performance.md that commands write: each between two comments that name it."""

from __future__ import annotations

from benchmarks.folders import PERFORMANCE


def write_section(name: str, text: str) -> None:
    """Replaces what stands between the comments of `name`. Raises SystemExit where the document has no such place."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    document = PERFORMANCE.read_text(encoding="utf-8")
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{PERFORMANCE.name} has no place for {name}: it needs the lines {begin.strip()} and {end}.")
    PERFORMANCE.write_text(f"{before}{begin}{text.strip()}\n{end}{after}", encoding="utf-8")
