"""Which sides are compared: where a processor has no bfloat16, none of them computes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import inputs
from benchmarks.comparisons import GEMM_BFLOAT16, GEMM_FLOAT32, OURS, STOCK, TUNED, Scale, groups, step_group

TINY = Scale(batch=16, sizes=(64,), d_in=32, k=4, architectures=("topk",))


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "INPUTS", tmp_path)


def sides(scale: Scale) -> dict[str, set[str]]:
    return {group.name: {side.name for side in group.contenders} for group in groups({"step"}, scale)}


def test_with_bfloat16_the_peers_and_the_limit_have_it_too() -> None:
    found = sides(TINY)
    assert {OURS, GEMM_FLOAT32, GEMM_BFLOAT16, "SAELens autocast"} <= found[step_group("topk", 64, STOCK)]
    assert "SAELens autocast" in found[step_group("topk", 64, TUNED)]


def test_without_bfloat16_nobody_computes_with_it_and_the_tuned_peer_is_the_float32_one() -> None:
    found = sides(replace(TINY, bfloat16=False))
    for names in found.values():
        assert not names & {GEMM_BFLOAT16, "SAELens autocast"}
        assert {OURS, GEMM_FLOAT32, "SAELens float32", "sparsify"} <= names
