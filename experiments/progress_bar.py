"""Progress in a terminal, on stderr: one line that is rewritten, or one line per stage where stderr is no terminal."""

from __future__ import annotations

from typing import TextIO

from experiments.engine.records import Measurement, Progress, Record, StageFinished
from experiments.templatetags.quantities import duration

WIDTH = 24


class ProgressBar:
    """Shows what the engine yields."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = stream.isatty()
        self._loss = ""

    def show(self, record: Record) -> None:
        match record:
            case Measurement():
                self._loss = _words_of(record)
            case Progress() if self._rewrites:
                self._stream.write(f"\r\033[K{_bar(record)}{self._loss if record.stage == 'training' else ''}")
                self._stream.flush()
            case StageFinished():
                self._stream.write(f"{self._line_start}{record.stage} finished\n")
                self._stream.flush()

    @property
    def _line_start(self) -> str:
        return "\r\033[K" if self._rewrites else ""


def _bar(record: Progress) -> str:
    done = record.step / record.steps if record.steps else 0.0
    filled = round(WIDTH * min(1.0, done))
    parts = [f"{record.stage:<10} [{'#' * filled}{'.' * (WIDTH - filled)}] {100 * done:3.0f} %"]
    if record.tokens_per_second:
        parts.append(f"{record.tokens_per_second:,.0f} tokens/s")
    if record.seconds_left is not None:
        parts.append(f"{duration(record.seconds_left)} left")
    if record.note:
        parts.append(record.note)
    return "  ".join(parts)


def _words_of(record: Measurement) -> str:
    shown = {"loss": "loss", "explained_variance": "EV"}
    known = {title: record.values.get(name) for name, title in shown.items()}
    return "".join(f"  {title} {value:.3f}" for title, value in known.items() if value is not None)
