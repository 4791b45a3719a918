"""The table names every target, says what was missed and by how much, and what was not measured and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import documents, report
from benchmarks.comparisons import (
    FALLING_RATES,
    GEMM_BFLOAT16,
    OURS,
    OURS_FLOAT32,
    OURS_WITH_DEAD,
    SAELENS_FLOAT32,
    at_rate,
    falling_from,
)
from benchmarks.rounds import Outcome

WORKS = [
    "TopK, 24,576 features",
    "TopK, 4,096 features",
    "BatchTopK, 24,576 features",
    "BatchTopK, 4,096 features",
    "ReLU + L1, 24,576 features",
    "ReLU + L1, 4,096 features",
    "tokens to SAE, hook after block 6 of 12, 24,576 features",
    "tokens to SAE, hook after block 6 of 12, 4,096 features",
    "harvest: examples, counts, histograms of all features",
    "peak memory, TopK 24,576",
    "TopK 24,576 with the auxiliary loss active",
    "TopK 24,576 in float32 (a CPU without AMX and bfloat16)",
    "held-out FVU after the same tokens from the same start, fast path",
    "held-out FVU after the same tokens from the same start, rate 0.001",
    "held-out FVU after the same tokens from the same start, each at its best rate",
    "held-out FVU after the same tokens from the same start, each at its best rate that falls to zero",
    "a sweep of 8 members, its time",
    "workbench: first start, demo, pages, lens",
    "catalogue: questions to a large index, searches, pages",
    "catalogue-postgres: the same pages on Postgres",
    "own-forward: the harvest beside the model's own forward",
    "labelling: many people at once, the desk",
    "labels: files, machine labels",
]


def results(**groups: list[Outcome]) -> dict[str, Any]:
    machine = {
        "date": "2026-01-01 00:00 UTC",
        "processor": "A processor",
        "cores": 2,
        "memory_gb": 8.0,
        "flags": ["avx2"],
        "load_before": 0.1,
        "versions": {"Python": "3.11"},
        "peers": {"sparsify": "eai-sparsify==1"},
    }
    found = {
        name.replace("__", "/"): {"spec": {"d_in": 768}, "outcomes": [outcome.as_json() for outcome in outcomes]}
        for name, outcomes in groups.items()
    }
    return {"machine": machine, "rounds": 1, "groups": found}


STEPS = [
    Outcome(OURS, [8_000.0, 9_000.0, 7_000.0], 4, rss_mb=600.0, facts={"path": "float32"}),
    Outcome(OURS_FLOAT32, [2_000.0]),
    Outcome(OURS_WITH_DEAD, [6_000.0]),
    Outcome(GEMM_BFLOAT16, [1.0], facts={"gflops": 1_000.0}),
    Outcome(SAELENS_FLOAT32, [200.0], rss_mb=4_000.0),
    Outcome("sparsify", [1_000.0], rss_mb=1_000.0),
    Outcome("dictionary_learning", failed="exit code 1"),
]


def verdict_of(found: dict[str, Any], work: str, against: str) -> tuple[str, str]:
    (row,) = [row for row in report.rows(found) if (row.work, row.against) == (work, against)]
    return row.measured, row.verdict


def test_every_row_is_there_also_when_nothing_was_measured() -> None:
    rows = list(report.rows(results()))
    assert list(dict.fromkeys(row.work for row in rows)) == WORKS
    assert {row.measured for row in rows} == {"not measured"}
    text = report.as_text(results())
    assert all(work in text for work in WORKS)


def test_medians_are_compared_with_the_fastest_peer() -> None:
    found = results(step__topk__24576__stock=STEPS)
    work = "TopK, 24,576 features"
    assert verdict_of(found, work, "fastest stock peer") == ("8.0x (8,000; sparsify 1,000 tokens/s)", "met")
    assert verdict_of(found, work, "SAELens float32")[1] == "met"
    assert verdict_of(found, "peak memory, TopK 24,576", "leanest stock peer")[1] == "met"
    in_float32 = "TopK 24,576 in float32 (a CPU without AMX and bfloat16)"
    assert verdict_of(found, in_float32, "fastest stock peer")[1] == "met"


def test_what_is_missed_says_by_how_much() -> None:
    found = results(step__topk__24576__stock=STEPS, step__relu__4096__stock=[Outcome(OURS, [5.0]), STEPS[5]])
    dead = "TopK 24,576 with the auxiliary loss active"
    assert verdict_of(found, dead, "ours without") == ("0.8x (6,000; ours 8,000 tokens/s)", "missed by 12%")
    missed = verdict_of(found, "ReLU + L1, 4,096 features", "fastest stock peer")[1]
    assert missed == "missed by 100%, without AMX"


def test_a_group_without_a_peer_says_what_failed() -> None:
    failed = [Outcome(OURS, [1.0]), Outcome("SAEDashboard", failed="sae-dashboard is not installed: make bench-peers")]
    row = next(row for row in report.rows(results(harvest=failed)) if row.work.startswith("harvest"))
    assert row.verdict == "failed: SAEDashboard: sae-dashboard is not installed: make bench-peers"


def test_the_document_shows_every_side_and_the_machine() -> None:
    text = report.as_markdown(results(step__topk__24576__stock=STEPS))
    assert "A processor, 2 cores, 8.0 GB, avx2" in text
    assert "| step/topk/24576/stock | ours | 8,000 (7,000 – 9,000) | 4 | 600 |  | float32 |" in text
    assert "| step/topk/24576/stock | dictionary_learning | failed: exit code 1 |" in text
    assert "not part of this run" in text


def test_a_section_of_its_own_tells_what_was_measured_alone() -> None:
    text = report.as_markdown(results(step__topk__24576__stock=STEPS), complete=False)
    assert "| TopK, 24,576 features | fastest stock peer |" in text
    assert "not part of this run" not in text


def test_a_part_that_was_measured_anew_says_when() -> None:
    found = results(step__topk__24576__stock=STEPS) | {"later": {"e2e/4096": "2026-01-02 03:04 UTC"}}
    assert "Measured later than the rest, beside all their peers: e2e/4096 (2026-01-02 03:04 UTC)." in report.as_text(
        found
    )
    assert "Measured later" not in report.as_text(results() | {"later": None})


def test_figures_without_a_peer_are_rows_with_their_targets_and_what_failed() -> None:
    figures = [
        ["top 20 firings, p95", 75.0, "ms"],
        ["histogram, p95", 9.0, "ms"],
        ["fires(A) and fires(B), p95", 5.0, "ms"],
    ]
    found = results() | {"figures": {"catalogue": {"figures": figures, "failed": "no browser"}}}
    rows = [row for row in report.rows(found) if row.against == "" and row.verdict != "not part of this run"]
    assert [(row.work, row.target, row.measured, row.verdict) for row in rows] == [
        ("top 20 firings, p95", "≤ 50 ms", "75.00 ms", "missed by 50%"),
        ("histogram, p95", "", "9.00 ms", ""),
        ("fires(A) and fires(B), p95", "≤ 1000 ms", "5.00 ms", "met"),
        ("catalogue: questions to a large index, searches, pages", "", "not measured", "failed: no browser"),
    ]


def test_quality_is_compared_at_the_same_rate_and_at_the_best_of_each() -> None:
    work = "held-out FVU after the same tokens from the same start"
    fvus = {OURS: 0.11, SAELENS_FLOAT32: 0.08, OURS_FLOAT32: 0.11}
    fvus |= {at_rate(OURS, rate): fvu for rate, fvu in ((3e-3, 0.07), (1e-2, 0.05), (3e-2, 0.3))}
    fvus |= {at_rate(SAELENS_FLOAT32, rate): fvu for rate, fvu in ((3e-3, 0.05), (1e-2, 0.06), (3e-2, 0.2))}
    falling = {OURS: (0.04, 0.03), SAELENS_FLOAT32: (0.04, 0.04)}
    fvus |= {
        falling_from(side, rate): fvu
        for side in falling
        for rate, fvu in zip(FALLING_RATES, falling[side], strict=True)
    }
    outcomes = [Outcome(name, [1.0], fvu=fvu) for name, fvu in fvus.items()]
    found = results(quality=outcomes)
    assert verdict_of(found, f"{work}, fast path", OURS_FLOAT32)[1] == "met"
    assert verdict_of(found, f"{work}, rate 0.001", SAELENS_FLOAT32)[1] == "missed by 37%"
    assert verdict_of(found, f"{work}, each at its best rate", SAELENS_FLOAT32) == (
        "1.0000x (ours at 0.01 0.05000; SAELens float32 at 0.003 0.05000)",
        "met",
    )
    falling_to_zero = f"{work}, each at its best rate that falls to zero"
    assert verdict_of(found, falling_to_zero, SAELENS_FLOAT32)[0].startswith("0.7500x")
    fvus.pop(at_rate(OURS, 3e-2))
    outcomes = [Outcome(name, [1.0], fvu=fvu) for name, fvu in fvus.items()]
    without_one_rate = verdict_of(results(quality=outcomes), f"{work}, each at its best rate", SAELENS_FLOAT32)
    assert without_one_rate == ("not measured", "not part of this run")


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "performance.md"
    path.write_text("before\n<!-- begin bench -->\nold\n<!-- end bench -->\nafter\n")
    monkeypatch.setattr(documents, "PERFORMANCE", path)
    documents.write_section("bench", "new\n")
    assert path.read_text() == "before\n<!-- begin bench -->\nnew\n<!-- end bench -->\nafter\n"
    with pytest.raises(SystemExit, match="no place for profile"):
        documents.write_section("profile", "new")
