"""The example of the engine alone does what it says, in as few lines as it says; with less text here."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from experiments.engine.artifacts import ExperimentFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_with_the_engine.py"
SMALLER = {"tokens=100_000": "tokens=4_096", "20_000": "1_000", "4_000": "500", "threads=2": "threads=1"}


def test_the_example_trains_measures_and_encodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = EXAMPLE.read_text("utf-8")
    for large, small in SMALLER.items():
        assert large in source
        source = source.replace(large, small)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(tmp_path)])
    exec(compile(source, str(EXAMPLE), "exec"), {"__name__": "__main__"})
    out = capsys.readouterr().out
    assert "StageFinished(stage='harvest'" in out
    assert out.rstrip().splitlines()[-1].startswith("(array([")
    folder = ExperimentFolder(tmp_path)
    assert folder.features.exists()
    assert json.loads(folder.quality.read_text())["l0"] == pytest.approx(4.0, abs=0.5)


def test_the_example_is_shorter_than_twenty_lines() -> None:
    tree = ast.parse(EXAMPLE.read_text("utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    lines = {node.lineno for node in statements if not _is_docstring(node)}
    assert len(lines) < 20


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
