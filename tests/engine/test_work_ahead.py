"""Capturing the next segment while one is trained on: the same weights, errors as themselves, and no thread left."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.engine import corpus_source, pipeline, work_ahead
from experiments.engine.capture import HiddenStates, Reading, capture_segment
from experiments.engine.job import Job, ResumePoint
from experiments.engine.language_model import LanguageModel, ModelRefused
from experiments.engine.records import Checkpointed, Measurement, Record
from experiments.engine.sweep import SideBySide
from experiments.engine.windows import Windows
from experiments.engine.work_ahead import THREAD_NAME, SideStream, WorkAhead
from tests.engine.test_pipeline import always, workplace
from tests.engine.test_segment_cache import job_with, weights_of
from tests.engine.test_sweep import Memory
from tests.engine.test_sweep import jobs as members_in
from tests.engine.test_sweep import weights_of as weights_of_all

__all__ = ["workplace"]

Segments = tuple[HiddenStates, ...]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name == THREAD_NAME] == []


class Captures:
    """Watches the captures of segments: in which threads they ran, and how many segments were alive as each began."""

    def __init__(self) -> None:
        self.ahead: list[bool] = []
        self.alive: list[int] = []
        self.fails_at: dict[int, BaseException] = {}
        self._made: list[weakref.ref[HiddenStates]] = []

    def capture(
        self, model: LanguageModel, windows: Windows, readings: Sequence[Reading]
    ) -> Generator[int, None, Segments]:
        self.ahead.append(threading.current_thread().name == THREAD_NAME)
        self.alive.append(sum(made() is not None for made in self._made))
        error = self.fails_at.get(len(self.ahead))
        found = yield from capture_segment(model, windows, readings)
        if error is not None:
            raise error
        self._made += [weakref.ref(states) for states in found]
        return found


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> Captures:
    watched = Captures()
    monkeypatch.setattr(corpus_source, "capture_segment", watched.capture)
    return watched


@pytest.fixture
def job(workplace: Path, tmp_path: Path) -> Callable[..., Job]:
    """Two epochs of three segments."""

    def made(name: str, *, ahead: bool, cached: bool = False, **sae: object) -> Job:
        found = job_with(workplace, name, cached=cached, **sae)
        return replace(found, folder=tmp_path / name, cache_folder=tmp_path / "cache", captures_ahead=ahead)

    return made


@pytest.mark.parametrize("cached", [False, True], ids=["streaming", "cached"])
@pytest.mark.parametrize("sae", [{}, {"architecture": "jumprelu"}, {"output_site": "mlp_out"}], ids=str)
def test_the_weights_are_the_same(
    job: Callable[..., Job], captures: Captures, cached: bool, sae: dict[str, object]
) -> None:
    one_after_another = weights_of(job("plain", ahead=False, **sae))
    segments = len(captures.ahead)
    assert captures.ahead == [False] * segments
    assert weights_of(job("ahead", ahead=True, cached=cached, **sae)) == one_after_another
    captured = captures.ahead[segments:]
    assert captured == [False] + [True] * (len(captured) - 1)  # all but the first, and none that nobody trains on
    assert 1 < len(captured) < segments if cached else len(captured) == segments  # kept for the second epoch
    assert max(captures.alive[:segments]) == 0
    assert max(captures.alive[segments:]) == 1  # the one that is trained on, while the next is made


@pytest.mark.parametrize("cached", [False, True], ids=["streaming", "cached"])
@pytest.mark.parametrize("step", [3, 20, 40])
def test_interrupted_in_the_middle_it_ends_in_the_same_weights(
    job: Callable[..., Job], cached: bool, step: int
) -> None:
    one_after_another = weights_of(job("plain", ahead=False))
    interrupted = job("ahead", ahead=True, cached=cached)
    records = pipeline.run(interrupted, should_checkpoint=always)
    saved = next(record for record in records if isinstance(record, Checkpointed) and record.step == step)
    records.close()  # type: ignore[attr-defined]
    assert THREAD_NAME not in {thread.name for thread in threading.enumerate()}
    assert weights_of(interrupted, ResumePoint("training", saved.name, saved.sha256)) == one_after_another


def test_a_sweep_gives_each_member_the_weights_that_it_gets_one_after_another(
    workplace: Path, tmp_path: Path, captures: Captures
) -> None:
    found = []
    for ahead in (False, True):
        made = [replace(member, captures_ahead=ahead) for member in members_in(workplace, tmp_path / str(ahead))]
        for _ in SideBySide(Memory().members(made)).run():
            pass
        found.append(weights_of_all(made))
    assert found[0] == found[1]
    assert captures.ahead.count(True) > 1


def test_a_sweep_whose_members_stand_apart_is_captured_where_they_stand(workplace: Path, tmp_path: Path) -> None:
    plain, ahead = ([replace(m, captures_ahead=x) for m in members_in(workplace, tmp_path / str(x))] for x in (0, 1))
    for _ in SideBySide(Memory().members(plain)).run():
        pass
    memory, events = Memory(), SideBySide(Memory().members(ahead, always)).run()
    for number, record in events:
        memory.take((number, record))
        if isinstance(record, Checkpointed) and record.step == 30:
            break
    events.close()  # type: ignore[attr-defined]
    memory.resume.pop(1)  # it begins anew, two segments behind
    for _ in SideBySide(memory.members(ahead)).run():
        pass
    assert weights_of_all(ahead) == weights_of_all(plain)


def test_what_goes_wrong_ahead_is_told_as_it_is_when_the_segment_is_wanted(
    job: Callable[..., Job], captures: Captures
) -> None:
    captures.fails_at[2] = ModelRefused("The model gives numbers that are not finite.")
    told: list[Record] = []
    with pytest.raises(ModelRefused) as raised:
        told.extend(pipeline.run(job("ahead", ahead=True)))
    assert raised.value is captures.fails_at[2]
    assert captures.ahead == [False, True]
    assert any(isinstance(record, Measurement) for record in told)  # the segment before it has been trained on


def test_without_room_for_two_segments_it_goes_on_one_after_another(
    job: Callable[..., Job], captures: Captures
) -> None:
    one_after_another = weights_of(job("plain", ahead=False))
    begun = len(captures.ahead)
    captures.fails_at[begun + 2] = torch.OutOfMemoryError("not enough memory")
    assert weights_of(job("ahead", ahead=True)) == one_after_another
    assert captures.ahead[begun:] == [False, True] + [False] * (begun - 1)


@pytest.mark.parametrize("step", [1, 5])
def test_stopped_at_any_moment_it_waits_for_the_thread(job: Callable[..., Job], step: int) -> None:
    records = pipeline.run(job("ahead", ahead=True), should_checkpoint=always)
    next(record for record in records if isinstance(record, Checkpointed) and record.step == step)
    records.close()  # type: ignore[attr-defined]


def test_stopping_ends_the_work_at_what_it_says_next() -> None:
    closed, may_go_on = [], threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
                may_go_on.wait()
        finally:
            closed.append(threading.current_thread().name)

    work = WorkAhead(endless(), SideStream(torch.device("cpu")))
    assert next(work.finished()) == 1
    may_go_on.set()
    work.stop()
    assert closed == [THREAD_NAME]


def test_a_thread_computes_with_as_many_threads_as_the_one_that_began_it() -> None:
    def threads() -> Generator[int, None, int]:
        yield 0
        return torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        work = WorkAhead(threads(), SideStream(torch.device("cpu")))
        assert _returned(work.finished()) == 3
    finally:
        torch.set_num_threads(before)


class FakeStream:
    """What of a CUDA stream is used; remembers the calls of all of them in order."""

    calls: list[str] = []

    def __init__(self, name: object) -> None:
        self.name = "side" if isinstance(name, torch.device) else str(name)

    def wait_stream(self, other: FakeStream) -> None:
        self.calls.append(f"{self.name} waits for {other.name}")

    def synchronize(self) -> None:
        self.calls.append(f"{self.name} is waited for")

    def __enter__(self) -> None:
        self.calls.append(f"into {self.name}")

    def __exit__(self, *_: object) -> None:
        self.calls.append(f"out of {self.name}")


def test_on_a_gpu_the_streams_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeStream, "calls", [])
    monkeypatch.setattr(work_ahead.torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(work_ahead.torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(work_ahead.torch.cuda, "current_stream", lambda _device: FakeStream("main"))

    class FakeTensor:
        def record_stream(self, stream: FakeStream) -> None:
            FakeStream.calls.append(f"kept for {stream.name}")

    def work() -> Generator[int, None, Any]:
        FakeStream.calls.append("work")
        yield 1
        return [FakeTensor()]

    side = SideStream(torch.device("cuda"))
    side.hand_over(_returned(WorkAhead(work(), side).finished()))
    assert FakeStream.calls == [
        "side waits for main",
        "into side",
        "work",
        "side is waited for",
        "out of side",
        "kept for main",
    ]


@pytest.mark.parametrize(("device", "wanted", "overlaps"), [
    ("cpu", None, False),
    ("mps", None, False),
    ("cuda", None, True),
    ("cuda:1", None, True),
    ("cuda", False, False),
    ("cpu", True, True),
])  # fmt: skip
def test_only_a_gpu_has_something_to_gain(
    job: Callable[..., Job], device: str, wanted: bool | None, overlaps: bool
) -> None:
    assert replace(job("any", ahead=False), device=device, captures_ahead=wanted).overlaps is overlaps


def _returned(work: Generator[int, None, Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
