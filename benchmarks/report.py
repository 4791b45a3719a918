"""From results to the table of targets: each row says what was wanted, what was measured, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.comparisons import (
    FALLING_RATES,
    GEMM_BFLOAT16,
    GEMM_FLOAT32,
    OURS,
    OURS_FLOAT32,
    OURS_WITH_DEAD,
    QUALITY_RATE,
    QUALITY_RATES,
    SAELENS_FLOAT32,
    SIZES,
    STOCK,
    SWEEP_MEMBERS,
    TUNED,
    at_rate,
    falling_from,
    step_group,
)
from benchmarks.figure_parts import FIGURE_PARTS
from benchmarks.machine import has_amx, multiplies_bfloat16
from benchmarks.rounds import Outcome
from benchmarks.targets import Target

NOT_PART = "not part of this run"
NOT_PEERS = {OURS, OURS_FLOAT32, OURS_WITH_DEAD, GEMM_FLOAT32, GEMM_BFLOAT16}
Results = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line: what was done, against what, the target, what was measured, and the verdict."""

    work: str
    against: str
    target: str
    measured: str
    verdict: str


def rows(results: Results) -> Iterator[Row]:
    """Every row of the table, in order; also those that were not measured."""
    table = _Table(results)
    yield from table.steps("TopK", "topk", {24_576: (8.0, 5.5, 40.0), 4_096: (5.5, 4.5, 11.0)})
    yield from table.one_target("BatchTopK", "batchtopk", {24_576: 20.0, 4_096: 8.0})
    yield from table.one_target("ReLU + L1", "relu", {24_576: 4.0, 4_096: 2.5})
    yield from table.end_to_end({24_576: 10.0, 4_096: 7.0})
    yield table.harvest()
    yield table.memory()
    yield table.auxiliary_loss()
    yield table.without_bfloat16()
    yield from table.quality()
    yield table.sweep()
    yield from table.share_of_limit()
    yield from table.figures()


class _Table:
    def __init__(self, results: Results) -> None:
        self._groups: dict[str, dict[str, Outcome]] = {
            name: {found["name"]: Outcome(**found) for found in group["outcomes"]}
            for name, group in results["groups"].items()
        }
        self._specs = {name: group["spec"] for name, group in results["groups"].items()}
        self._figures: dict[str, Any] = results.get("figures", {})
        self._amx = has_amx(results["machine"])

    def steps(self, title: str, architecture: str, wanted: dict[int, tuple[float, float, float]]) -> Iterator[Row]:
        for size, (stock, tuned, saelens) in wanted.items():
            name, work = step_group(architecture, size, STOCK), f"{title}, {size:,} features"  # type: ignore[arg-type]
            yield self._against_fastest(work, name, "fastest stock peer", Target(stock, for_amx=True))
            tuned_name = step_group(architecture, size, TUNED)  # type: ignore[arg-type]
            yield self._against_fastest(work, tuned_name, "fastest tuned peer", Target(tuned, for_amx=True))
            yield self._ratio(work, SAELENS_FLOAT32, name, OURS, SAELENS_FLOAT32, Target(saelens, for_amx=True))

    def one_target(self, title: str, architecture: str, wanted: dict[int, float]) -> Iterator[Row]:
        for size, bound in wanted.items():
            name = step_group(architecture, size, STOCK)  # type: ignore[arg-type]
            target = Target(bound, for_amx=True)
            yield self._against_fastest(f"{title}, {size:,} features", name, "fastest stock peer", target)

    def end_to_end(self, wanted: dict[int, float]) -> Iterator[Row]:
        for size, bound in wanted.items():
            work = f"tokens to SAE, hook after block 6 of 12, {size:,} features"
            yield self._against_fastest(work, f"e2e/{size}", "fastest stock peer", Target(bound, for_amx=True))

    def harvest(self) -> Row:
        work = "harvest: examples, counts, histograms of all features"
        return self._ratio(work, "SAEDashboard, extrapolated", "harvest", OURS, "SAEDashboard", Target(150.0))

    def memory(self) -> Row:
        work, against, target = f"peak memory, TopK {SIZES[0]:,}", "leanest stock peer", Target(0.8, at_least=False)
        outcomes = self._groups.get(step_group("topk", SIZES[0], STOCK), {})
        peers = {peer.name: peer.rss_mb for peer in _peers(outcomes) if peer.rss_mb}
        own = outcomes[OURS].rss_mb if OURS in outcomes else None
        if not own or not peers:
            return self._unmeasured(work, against, target, outcomes)
        leanest = min(peers, key=lambda name: peers[name] or 0.0)
        value = own / (peers[leanest] or 1.0)
        measured = f"{value:.2f}x ({own:,.0f} MB; {leanest} {peers[leanest]:,.0f} MB)"
        return Row(work, against, target.text, measured, target.verdict(value, amx=self._amx))

    def auxiliary_loss(self) -> Row:
        name = step_group("topk", SIZES[0], STOCK)
        work = f"TopK {SIZES[0]:,} with the auxiliary loss active"
        return self._ratio(work, "ours without", name, OURS_WITH_DEAD, OURS, Target(0.85))

    def without_bfloat16(self) -> Row:
        work = f"TopK {SIZES[0]:,} in float32 (a CPU without AMX and bfloat16)"
        name = step_group("topk", SIZES[0], STOCK)
        return self._against_fastest(work, name, "fastest stock peer", Target(1.7), ours=OURS_FLOAT32)

    def quality(self) -> Iterator[Row]:
        work, limit = "held-out FVU after the same tokens from the same start", Target(1.005, at_least=False)
        yield self._fvu(f"{work}, fast path", OURS_FLOAT32, [OURS], [OURS_FLOAT32], limit)
        yield self._fvu(f"{work}, rate {QUALITY_RATE:g}", SAELENS_FLOAT32, [OURS], [SAELENS_FLOAT32], limit)
        ours, peers = ([at_rate(side, rate) for rate in QUALITY_RATES] for side in (OURS, SAELENS_FLOAT32))
        yield self._fvu(f"{work}, each at its best rate", SAELENS_FLOAT32, ours, peers, limit)
        ours, peers = ([falling_from(side, rate) for rate in FALLING_RATES] for side in (OURS, SAELENS_FLOAT32))
        yield self._fvu(f"{work}, each at its best rate that falls to zero", SAELENS_FLOAT32, ours, peers, limit)

    def _fvu(self, work: str, against: str, ours: list[str], peers: list[str], target: Target) -> Row:
        """The lowest of ours against the lowest of theirs, over the learning rates; all of them must be there."""
        outcomes = self._groups.get("quality", {})
        found = [[(outcomes[n].fvu, n) for n in names if n in outcomes and outcomes[n].fvu] for names in (ours, peers)]
        if [len(sides) for sides in found] != [len(ours), len(peers)]:
            return self._unmeasured(work, against, target, {n: outcomes[n] for n in [*ours, *peers] if n in outcomes})
        (own, our_name), (other, their_name) = (min(sides) for sides in found)
        value = (own or 0.0) / (other or 1.0)
        measured = f"{value:.4f}x ({our_name} {own:.5f}; {their_name} {other:.5f})"
        return Row(work, against, target.text, measured, target.verdict(value, amx=self._amx))

    def sweep(self) -> Row:
        """Tokens per second of one member over those of the sweep are seconds of the sweep over those of one."""
        one, all_members = (f"{members} of a sweep" for members in (1, SWEEP_MEMBERS))
        work, target = f"a sweep of {SWEEP_MEMBERS} members, its time", Target(2.5, at_least=False)
        return self._ratio(work, "one member", "sweep", one, all_members, target)

    def share_of_limit(self) -> Iterator[Row]:
        """How much of the encoder's matrix product alone, in the faster of both number formats, is reached."""
        for size in SIZES:
            name = step_group("topk", size, STOCK)
            outcomes, work = self._groups.get(name, {}), f"TopK, {size:,} features"
            limits = [
                outcomes[gemm].facts["gflops"] * 1e9 / (2 * self._specs[name]["d_in"] * size)
                for gemm in (GEMM_FLOAT32, GEMM_BFLOAT16)
                if gemm in outcomes and outcomes[gemm].samples
            ]
            ours = outcomes[OURS].median if OURS in outcomes else None
            if ours and limits:
                measured = f"{ours / max(limits):.0%} ({ours:,.0f} of {max(limits):,.0f} tokens/s)"
                yield Row(work, "the encoder's product alone", "", measured, "")

    def figures(self) -> Iterator[Row]:
        """What there is nobody to compare with."""
        for name, part in FIGURE_PARTS.items():
            found = self._figures.get(name, {})
            for what, value, unit in found.get("figures", []):
                target = part.target_of(what)
                verdict = target.verdict(value, amx=self._amx) if target else ""
                yield Row(what, "", target.text if target else "", f"{value:,.2f} {unit}".strip(), verdict)
            if found.get("failed") or not found:
                reason = f"failed: {found['failed']}" if found else NOT_PART
                yield Row(f"{name}: {part.about}", "", "", "not measured", reason)

    def _against_fastest(self, work: str, group: str, against: str, target: Target, ours: str = OURS) -> Row:
        outcomes = self._groups.get(group, {})
        speeds = {peer.name: peer.median for peer in _peers(outcomes) if peer.median}
        if not speeds:
            return self._unmeasured(work, against, target, outcomes)
        fastest = max(speeds, key=lambda name: speeds[name] or 0.0)
        return self._ratio(work, against, group, ours, fastest, target)

    def _ratio(self, work: str, against: str, group: str, ours: str, peer: str, target: Target) -> Row:
        outcomes = self._groups.get(group, {})
        own, other = (outcomes[name].median if name in outcomes else None for name in (ours, peer))
        if own is None or other is None:
            return self._unmeasured(work, against, target, outcomes)
        measured = f"{own / other:.1f}x ({own:,.0f}; {peer} {other:,.0f} tokens/s)"
        return Row(work, against, target.text, measured, target.verdict(own / other, amx=self._amx))

    def _unmeasured(self, work: str, against: str, target: Target, outcomes: dict[str, Outcome]) -> Row:
        failed = [f"{outcome.name}: {outcome.failed}" for outcome in outcomes.values() if outcome.failed]
        reason = "; ".join(failed) if failed else NOT_PART
        return Row(work, against, target.text, "not measured", f"failed: {reason}" if failed else reason)


def _peers(outcomes: dict[str, Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes.values() if outcome.name not in NOT_PEERS]


def as_text(results: Results) -> str:
    """The table for a terminal."""
    lines = [_heading(results), ""]
    for row in rows(results):
        what = f"{row.work} / {row.against}" if row.against else row.work
        lines.append(f"{what:<84} {row.target:>14}  {row.measured}  {row.verdict}".rstrip())
    return "\n".join([*lines, "", *_sides_as_text(results)])


def as_markdown(results: Results, *, complete: bool = True) -> str:
    """The same as a section of docs/performance.md, with every side's own figures.

    What is no part of the run is told unless the section need not be `complete`.
    """
    lines = [_heading(results), "", "| Work | Against | Target | Measured | |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.work} | {row.against} | {row.target} | {row.measured} | {row.verdict} |"
        for row in rows(results)
        if complete or row.verdict != NOT_PART
    ]
    return "\n".join([*lines, *_sides(results)]) + "\n"


def _sides(results: Results) -> list[str]:
    if not results["groups"]:
        return []
    lines = ["", "Every side of every comparison:", ""]
    lines += ["| Comparison | Side | Tokens per second (lowest – highest) | Steps a round | Peak MB | FVU | Path |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, group in results["groups"].items():
        for outcome in (Outcome(**found) for found in group["outcomes"]):
            lines.append(f"| {name} | {outcome.name} | {' | '.join(_cells(outcome))} |")
    return lines


def _heading(results: Results) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    peers = ", ".join(packages for packages in machine["peers"].values())
    without = "" if multiplies_bfloat16(machine) else " No bfloat16: neither side nor limit computes with it here."
    return (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{' '.join(machine['flags']) or 'no vector flags known'}; load before {machine['load_before']}. "
        f"{versions}; {peers}. {results['rounds']} rounds, medians.{without}{_measured_later(results)}"
    )


def _measured_later(results: Results) -> str:
    later = results.get("later") or {}
    if not later:
        return ""
    return (
        " Measured later than the rest, beside all their peers: "
        + ", ".join(f"{name} ({at})" for name, at in later.items())
        + "."
    )


def _sides_as_text(results: Results) -> Iterator[str]:
    for name, group in results["groups"].items():
        yield name
        for outcome in (Outcome(**found) for found in group["outcomes"]):
            speed, steps, memory, fvu, path = _cells(outcome)
            if outcome.failed:
                yield f"  {outcome.name:<34} {speed}"
            else:
                yield f"  {outcome.name:<34} {speed:<34} {steps:>4} steps {memory:>8} MB  FVU {fvu or '-':<8} {path}"


def _cells(outcome: Outcome) -> list[str]:
    if outcome.failed:
        return [f"failed: {outcome.failed}", "", "", "", ""]
    speed = f"{outcome.median:,.0f} ({min(outcome.samples):,.0f} – {max(outcome.samples):,.0f})"
    memory = f"{outcome.rss_mb:,.0f}" if outcome.rss_mb else ""
    fvu = f"{outcome.fvu:.5f}" if outcome.fvu is not None else ""
    facts = outcome.facts
    path = facts.get("path") or (f"{facts['gflops']:,.0f} GFLOP/s" if "gflops" in facts else "")
    return [speed, str(outcome.steps), memory, fvu, path]
