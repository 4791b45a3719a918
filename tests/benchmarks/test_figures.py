"""Figures of processes of their own, and a part of the benchmarks that fails half-way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import figures
from benchmarks.bench import _figures
from benchmarks.figure_parts import FIGURE_PARTS, Circumstances, FigurePart
from benchmarks.figures import Figure, figures_of


def test_what_a_process_tells_is_read_as_it_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    figures.tell("a question, p95", 1234.5, "ms")
    figures.tell("a ratio", 0.25)
    code = f"print({capsys.readouterr().out!r}); print('something else')"
    assert list(figures_of("timeit", "-n1", "-r1", code)) == [("a question, p95", 1234.5, "ms"), ("a ratio", 0.25, "")]


def test_a_part_that_fails_keeps_its_figures_and_says_why() -> None:
    def measure(run: Circumstances) -> Iterator[Figure]:
        yield "first", 1.0, "s"
        yield from figures_of("timeit", "raise LookupError('nothing there')")

    found = _figures(FigurePart("of a test", measure), Circumstances())
    assert found["figures"] == [("first", 1.0, "s")]
    assert "timeit: exit code 1" in found["failed"]
    assert "nothing there" in found["failed"]


def test_the_catalogue_on_postgres_asks_for_a_server() -> None:
    found = _figures(FIGURE_PARTS["catalogue-postgres"], Circumstances(quick=True))
    assert found == {"figures": [], "failed": "a server is needed: --postgres URL"}
