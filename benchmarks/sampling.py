"""Where a run spends its time, by looking at it some hundred times a second: no function has to be touched for it.

A sample is the stack of one thread; the first rule that fits names the part of the work, and the time since the last
sample is that part's. Tensor operations and the database let other threads run meanwhile, so that looking costs little.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType

SECONDS_BETWEEN_SAMPLES = 0.004


@dataclass(frozen=True)
class Rule:
    """A part of the work: pieces of file names of which each must be in the stack, and functions in the first."""

    part: str
    files: tuple[str, ...]
    functions: tuple[str, ...] = ()

    def fits(self, stack: Sequence[tuple[str, str]]) -> bool:
        return all(
            any(wanted in file and self._is_function(number, name) for file, name in stack)
            for number, wanted in enumerate(self.files)
        )

    def _is_function(self, number: int, name: str) -> bool:
        return number > 0 or not self.functions or name in self.functions


class Sampler(threading.Thread):
    """Samples the thread that makes it, from `with` to the end of the block; `seconds` says how long each part took."""

    def __init__(self, rules: Sequence[Rule], rest: str) -> None:
        super().__init__(name="sampler", daemon=True)
        self._rules, self._rest = rules, rest
        self._sampled = threading.get_ident()
        self._finished = threading.Event()
        self._known: dict[tuple[tuple[str, str], ...], str] = {}
        self.seconds: dict[str, float] = defaultdict(float)

    def __enter__(self) -> Sampler:
        self._last = time.perf_counter()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finished.set()
        self.join()

    def run(self) -> None:
        while not self._finished.wait(SECONDS_BETWEEN_SAMPLES):
            frame = sys._current_frames().get(self._sampled)
            now = time.perf_counter()
            self.seconds[self._part_of(frame)] += now - self._last
            self._last = now

    def _part_of(self, frame: FrameType | None) -> str:
        stack: list[tuple[str, str]] = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        key = tuple(stack)
        if key not in self._known:
            self._known[key] = next((rule.part for rule in self._rules if rule.fits(stack)), self._rest)
        return self._known[key]
