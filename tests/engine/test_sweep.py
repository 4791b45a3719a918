"""Experiments side by side: the weights of each are those of the experiment alone, whatever happens to the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from experiments.engine import corpus_source, learning, pipeline
from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.config import ConfigError, ExperimentConfig, SaeConfig
from experiments.engine.job import Job, ResumePoint
from experiments.engine.pipeline import never
from experiments.engine.records import (
    Checkpointed,
    Measurement,
    MemberFailed,
    ModelLoaded,
    Record,
    ResourcesUsed,
    StageFinished,
)
from experiments.engine.segment_cache import SEGMENTS, SegmentCache
from experiments.engine.sweep import Event, Member, SideBySide
from tests.engine.test_pipeline import always, job_in, workplace

__all__ = ["workplace"]

# Architectures, sizes, seeds, layers and sites: three distinct places, two members share one.
VARIANTS: list[dict[str, object]] = [
    {"sae": SaeConfig("topk", 40, 4), "seed": 0},
    {"sae": SaeConfig("batchtopk", 24, 3), "seed": 1},
    {"sae": SaeConfig("jumprelu", 32, 4), "layer": 2},
    {"sae": SaeConfig("topk", 32, 4), "layer": 0, "site": "mlp_out"},
]


def jobs(workplace: Path, folder: Path) -> list[Job]:
    base = job_in(workplace, folder)
    config = replace(base.config, stream_seed=11)
    return [
        replace(base, folder=folder / str(number), config=replace(config, **changes))  # type: ignore[arg-type]
        for number, changes in enumerate(VARIANTS)
    ]


def weights_of(jobs: list[Job]) -> list[str]:
    return [sha256_of(ExperimentFolder(job.folder).weights) for job in jobs]


@pytest.fixture(scope="module")
def alone(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The hash of each member's weights when it is trained by itself."""
    made = jobs(workplace, tmp_path_factory.mktemp("alone"))
    for job in made:
        records = pipeline.run(job)
        next(r for r in records if isinstance(r, StageFinished) and r.stage == "training")
        records.close()  # type: ignore[attr-defined]
    return weights_of(made)


@dataclass
class Memory:
    """What a runner would remember of each member: where it goes on, and what was told of it."""

    resume: dict[int, ResumePoint] = field(default_factory=dict)
    told: dict[int, list[Record | MemberFailed]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        number, record = event
        self.told.setdefault(number, []).append(record)
        before = self.resume.get(number, ResumePoint("capture"))
        if isinstance(record, Checkpointed):
            self.resume[number] = replace(before, checkpoint=record.name, checkpoint_sha256=record.sha256)
        if isinstance(record, StageFinished) and record.stage == "training":
            self.resume[number] = replace(before, stage="evaluation")

    def members(self, jobs: list[Job], should_checkpoint: Callable[[], bool] = never) -> list[Member]:
        """Those that are still to be trained, from where they were left."""
        points = [self.resume.get(number, ResumePoint("capture")) for number in range(len(jobs))]
        left = [(job, at) for job, at in zip(jobs, points, strict=True) if at.stage != "evaluation"]
        return [Member(job, point, should_checkpoint) for job, point in left]


def steps(records: list[Record | MemberFailed]) -> list[int]:
    return [record.step for record in records if isinstance(record, Measurement)]


def test_each_member_gets_the_weights_that_it_would_get_alone(
    workplace: Path, tmp_path: Path, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    read = corpus_source.capture_segment

    def counted(model: object, windows: object, readings: list[object]) -> Iterator[int]:
        passes.append(len(readings))
        return read(model, windows, readings)  # type: ignore[arg-type]

    fitted: list[int] = []
    read_held_out = learning.capture_batches

    def counted_fit(model: object, windows: object, readings: list[object]) -> object:
        fitted.append(len(readings))
        return read_held_out(model, windows, readings)  # type: ignore[arg-type]

    monkeypatch.setattr(corpus_source, "capture_segment", counted)
    monkeypatch.setattr(learning, "capture_batches", counted_fit)
    made, memory = jobs(workplace, tmp_path), Memory()
    for event in SideBySide(memory.members(made)).run():
        memory.take(event)
    assert weights_of(made) == alone
    for records in memory.told.values():
        assert steps(records) == list(range(5, 51, 5))
        assert sum(isinstance(record, ModelLoaded) for record in records) == 1
        assert [r.stage for r in records if isinstance(r, StageFinished)] == ["capture", "training"]
        used = [r for r in records if isinstance(r, ResourcesUsed)]
        assert [(r.stage, r.experiments) for r in used] == [("capture", 4), ("training", 4)]
        assert all(r.memory_bytes > 0 and "CPU" in r.path for r in used)
    assert set(passes) == {3}  # three places in every pass
    assert fitted == [2]  # BatchTopK's and JumpReLU's thresholds, from one pass over the held-out text
    assert len(passes) < 15  # four trainings by themselves capture as often together


def test_members_are_trained_side_by_side(workplace: Path, tmp_path: Path) -> None:
    made, memory = jobs(workplace, tmp_path), Memory()
    order = [n for n, record in SideBySide(memory.members(made)).run() if isinstance(record, Measurement)]
    assert order[:4] == [0, 1, 2, 3]


# In the middle of the first segment, in a later one, and near the end; after each, some members are ahead of others.
@pytest.mark.parametrize("stop_after", [3, 90, 170])
def test_a_sweep_that_was_closed_anywhere_ends_in_the_same_weights(
    workplace: Path, tmp_path: Path, alone: list[str], stop_after: int
) -> None:
    made, memory = jobs(workplace, tmp_path), Memory()
    asked: list[int] = []

    def every_third() -> bool:
        asked.append(1)
        return len(asked) % 3 == 0

    events = SideBySide(memory.members(made, every_third)).run()
    for event in events:
        memory.take(event)
        stop_after -= isinstance(event[1], Checkpointed)
        if not stop_after:
            break
    events.close()  # type: ignore[attr-defined]
    memory.resume.pop(1, None)  # one has lost its checkpoint, and is furthest behind
    left = memory.members(made)
    for _ in SideBySide(left).run():
        pass
    assert weights_of(made) == alone


def test_dropping_a_member_leaves_the_others_as_they_are(workplace: Path, tmp_path: Path, alone: list[str]) -> None:
    made, memory = jobs(workplace, tmp_path), Memory()
    sweep = SideBySide(memory.members(made))
    for number, record in sweep.run():
        memory.take((number, record))
        if number == 1 and isinstance(record, Measurement) and record.step == 10:
            sweep.drop(1)
    assert steps(memory.told[1]) == [5, 10]
    assert not ExperimentFolder(made[1].folder).weights.exists()
    others = [made[number] for number in (0, 2, 3)]
    assert weights_of(others) == [alone[number] for number in (0, 2, 3)]


def test_what_stops_one_member_does_not_stop_the_others(workplace: Path, tmp_path: Path, alone: list[str]) -> None:
    made, memory = jobs(workplace, tmp_path), Memory()
    made[3] = replace(made[3], config=replace(made[3].config, layer=7))
    memory.resume[0] = ResumePoint("training", "step-000000009.safetensors", "ab" * 32)
    for event in SideBySide(memory.members(made)).run():
        memory.take(event)
    ends = {number: records[-1] for number, records in memory.told.items()}
    assert isinstance(ends[0], MemberFailed)
    assert "missing" in str(ends[0].error)
    assert isinstance(ends[3], MemberFailed)
    assert isinstance(ends[3].error, ConfigError)
    assert weights_of(made[1:3]) == alone[1:3]


def test_a_waiting_member_saves_when_it_is_asked(workplace: Path, tmp_path: Path) -> None:
    made, memory = jobs(workplace, tmp_path), Memory()
    for event in SideBySide(memory.members(made, always)).run():
        memory.take(event)
    for records in memory.told.values():
        assert [r.step for r in records if isinstance(r, Checkpointed)] == list(range(1, 51))


@pytest.mark.parametrize("changes", [{"stream_seed": 12}, {"context_length": 8}])
def test_members_that_read_different_text_are_refused(
    workplace: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    made = jobs(workplace, tmp_path)
    other: ExperimentConfig = replace(made[1].config, **changes)  # type: ignore[arg-type]
    made[1] = replace(made[1], config=other)
    with pytest.raises(ConfigError, match="share model, corpus"):
        SideBySide(Memory().members(made))


def test_a_sweep_keeps_its_hidden_states_for_all_that_want_it(
    workplace: Path, tmp_path: Path, alone: list[str]
) -> None:
    """The second member asks for it, the first does not: its place alone would do, but one pass reads for all."""
    made = jobs(workplace, tmp_path)[:2]
    keeping = replace(made[1].config, cache_hidden_states=True)
    made[1] = replace(made[1], config=keeping, cache_folder=tmp_path / "cache", cache_quota_bytes=10**8, user="second")
    memory = Memory()
    for event in SideBySide(memory.members(made)).run():
        memory.take(event)
    assert weights_of(made) == alone[:2]
    (stream,) = SegmentCache(tmp_path / "cache" / SEGMENTS).streams()
    assert (list(stream.used_by), stream.segments > 1) == (["second"], True)
