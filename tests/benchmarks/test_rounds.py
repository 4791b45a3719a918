"""Sides are measured in turn by lines of JSON; one that fails is told about and left behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.environments import Environment, NotInstalled
from benchmarks.peers.serving import Side
from benchmarks.rounds import Contender, Outcome, environment_of, interleaved
from benchmarks.spec import ALLOCATOR, Spec

SPEC = Spec(d_in=8, d_sae=16, k=2, batch=4, warmup=0, threads=1)
PEER = """
from benchmarks.peers.serving import Side, serve

print("so does an import that goes on talking")

class Peer(Side):
    def run(self, steps):
        print("what a library prints is no answer")
        if self.turns == 2:
            raise ValueError("the second turn is too much")
        self.turns += 1
        return {"tokens": 4 * steps, "seconds": 0.5}
    turns = 0
    def fvu(self):
        return 0.25

serve(lambda spec: Peer())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a child process finds modules, in place of the repository's own."""
    root = Path(__file__).resolve().parent.parent.parent
    (tmp_path / "benchmarks").symlink_to(root / "benchmarks")
    monkeypatch.setattr("benchmarks.rounds.ROOT", tmp_path)
    monkeypatch.setattr("benchmarks.rounds.RESULTS", tmp_path)
    return tmp_path


def test_a_side_is_asked_in_every_round_and_answers_lines_of_json(module: Path) -> None:
    (module / "side.py").write_text(PEER)
    (outcome,) = interleaved([Contender("peer", "side", SPEC)], 2, [].append, steps=3)
    assert outcome.failed == ""
    assert outcome.samples == [24.0, 24.0]
    assert (outcome.steps, outcome.fvu) == (3, 0.25)
    assert outcome.rss_mb is not None
    assert outcome.rss_mb > 1


def test_a_side_that_fails_says_why_and_the_others_go_on(module: Path) -> None:
    (module / "side.py").write_text(PEER)
    (module / "other.py").write_text(PEER.replace("self.turns == 2", "False"))
    said: list[str] = []
    sides = [Contender("peer", "side", SPEC), Contender("ours", "other", SPEC)]
    failing, going_on = interleaved(sides, 3, said.append, steps=1)
    assert len(failing.samples) == 2
    assert "the second turn is too much" in failing.failed
    assert going_on.samples == [8.0] * 3
    assert any("peer: failed" in line for line in said)


def test_a_side_that_ends_at_once_has_failed(module: Path) -> None:
    (module / "side.py").write_text("raise SystemExit('no such processor')")
    (outcome,) = interleaved([Contender("peer", "side", SPEC)], 1, [].append)
    assert outcome.failed == "exit code 1 (no such processor)"


def test_a_side_does_as_many_steps_in_a_round_as_take_two_seconds(module: Path) -> None:
    (module / "side.py").write_text(
        PEER.replace("self.turns == 2", "False").replace('"seconds": 0.5', '"seconds": 0.5 * steps')
    )
    (outcome,) = interleaved([Contender("ours", "side", SPEC.but(warmup=1))], 1, [].append)
    assert outcome.steps == 4


def test_a_peer_that_is_not_installed_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.environments.ENVIRONMENTS", tmp_path)
    peer = Environment("peer", ("peer==1",), "peer")
    (outcome,) = interleaved([Contender("peer", "side", SPEC, peer)], 1, [].append)
    assert outcome.failed == "peer is not installed: make bench-peers"


def test_an_installed_peer_is_left_alone_until_its_versions_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.environments.ENVIRONMENTS", tmp_path)
    peer = Environment("peer", ("peer==1",), "peer")
    peer.folder.mkdir()
    (peer.folder / "installed.json").write_text(json.dumps(peer.requirements))
    assert peer.require() == peer.python
    assert not Environment("peer", ("peer==2",), "peer").is_installed


def test_a_failing_installation_shows_the_end_of_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.environments.ENVIRONMENTS", tmp_path)
    command = [sys.executable, "-c", "raise SystemExit('no matching distribution')"]
    with pytest.raises(NotInstalled, match=r"peer: installing it failed:\n +no matching distribution"):
        Environment("peer", (), "peer")._do("installing it", command)


def test_a_stock_side_gets_none_of_the_allocators_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "1")
    assert not ALLOCATOR.keys() & environment_of(SPEC, {}).keys()
    assert ALLOCATOR.items() <= environment_of(SPEC, ALLOCATOR).items()


def test_a_spec_survives_the_command_line() -> None:
    assert Spec.from_text(SPEC.as_text()) == SPEC
    assert SPEC.dense_operations == 5 * 2 * 8 * 16


def test_outcomes_are_plain_json() -> None:
    outcome = Outcome("ours", [1.0], 2, facts={"path": "x"})
    assert Outcome(**json.loads(json.dumps(outcome.as_json()))) == outcome


def test_a_side_without_a_quality_has_none() -> None:
    class Fast(Side):
        def run(self, steps: int) -> dict[str, float]:
            return {"tokens": steps, "seconds": 1.0}

    assert Fast().fvu() is None
