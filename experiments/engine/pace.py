"""How fast a stage goes and how long it still takes, and when it is time to say so. No torch."""

from __future__ import annotations

import time

from experiments.engine.records import Progress, Stage

REPORT_SECONDS = 0.5
# Speed is measured over about the last this many seconds, so that it follows a neighbour who comes and goes.
MEMORY_SECONDS = 8.0


class Pace:
    """Counts steps of one stage. `due` is true at most twice a second, and then a Progress should be yielded."""

    def __init__(self, stage: Stage, steps: int, total_tokens: int, step: int = 0, tokens: int = 0) -> None:
        self.stage, self.steps, self.total_tokens = stage, steps, total_tokens
        self.step, self.tokens = step, tokens
        self._reported_at = self._measured_at = time.monotonic()
        self._measured_tokens = tokens
        self._tokens_per_second: float | None = None

    def advance(self, tokens: int, steps: int = 1) -> None:
        self.step += steps
        self.tokens += tokens

    @property
    def due(self) -> bool:
        return time.monotonic() - self._reported_at >= REPORT_SECONDS

    def report(self, note: str = "") -> Progress:
        """The Progress of this moment."""
        now = time.monotonic()
        self._measure(now)
        self._reported_at = now
        left = max(0, self.total_tokens - self.tokens)
        speed = self._tokens_per_second
        return Progress(self.stage, self.step, self.steps, self.tokens, speed, left / speed if speed else None, note)

    def _measure(self, now: float) -> None:
        elapsed, done = now - self._measured_at, self.tokens - self._measured_tokens
        if elapsed <= 0 or done <= 0:
            return
        share = min(1.0, elapsed / MEMORY_SECONDS) if self._tokens_per_second else 1.0
        self._tokens_per_second = (1 - share) * (self._tokens_per_second or 0.0) + share * done / elapsed
        self._measured_at, self._measured_tokens = now, self.tokens
