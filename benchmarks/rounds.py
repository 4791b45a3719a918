"""Sides measured in turn, A B C A B C ..., so that whatever else happens on the machine happens to all of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from typing import IO, Any

from benchmarks.environments import Environment, NotInstalled
from benchmarks.folders import RESULTS, ROOT
from benchmarks.spec import ALLOCATOR, OF_OUR_WORKERS, Spec

PATIENCE_SECONDS = 600.0  # a side that says nothing for this long has failed
END_SECONDS = 20.0  # how long a side may take to end
SECONDS_PER_TURN = 2.0  # a side does as many steps in a round as take about so long, and at least one
MOST_STEPS = 64
SAID_CHARACTERS = 200  # of the last line that a side wrote before it failed

Say = Callable[[str], None]


class SideFailed(Exception):  # noqa: N818 - it is what a row of the table says
    """A side cannot be measured; the message says why."""


@dataclass
class Outcome:
    """What was measured of one side. `samples` are tokens per second, one for each round of `steps` steps."""

    name: str
    samples: list[float] = field(default_factory=list)
    steps: int = 0
    fvu: float | None = None
    rss_mb: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    failed: str = ""

    @property
    def median(self) -> float | None:
        """Tokens per second; None of a side that failed before its first round was over."""
        return statistics.median(self.samples) if self.samples else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def take(self, answer: dict[str, Any]) -> None:
        answer = dict(answer)
        seconds, tokens = answer.pop("seconds"), answer.pop("tokens")
        self.steps = answer.pop("steps", self.steps)
        self.samples.append(tokens / seconds)
        self.rss_mb = answer.pop("rss_mb", None)
        self.fvu = answer.pop("fvu", self.fvu)
        self.facts |= answer


class Contender:
    """A side as a process that lives from round to round (`benchmarks.peers.serving`)."""

    def __init__(
        self, name: str, module: str, spec: Spec, environment: Environment | None = None, *, tuned: bool = False
    ) -> None:
        """`environment` is the peer's, which `tuned` gives the allocator's variables; None is our own."""
        self.name, self._module, self._spec, self._environment = name, module, spec, environment
        self._variables = OF_OUR_WORKERS if environment is None else ALLOCATOR if tuned else {}
        self._process: subprocess.Popen[str] | None = None
        self._said: SimpleQueue[str] = SimpleQueue()
        self._log = RESULTS / "logs" / f"{module.rsplit('.', 1)[-1]}-{os.getpid()}-{id(self)}.log"

    def start(self) -> None:
        """Starts the process, which imports what it needs; `warm_up` waits for it."""
        python = str(self._environment.require()) if self._environment else sys.executable
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", self._module, self._spec.as_text()],
                cwd=ROOT,
                env=environment_of(self._spec, self._variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout, "it is a pipe"
        self._listener = threading.Thread(target=self._listen, args=[self._process.stdout], daemon=True)
        self._listener.start()

    def warm_up(self, turn_seconds: float) -> int:
        """Does the steps that are not counted; returns how many take about `turn_seconds`, at least one."""
        self._answer()
        steps = self._spec.warmup
        if steps == 0:
            return 1
        first = self.measure(steps)
        # Our first step may compile; a peer's is as long as the others, and too long to be done for nothing.
        known = first if self._environment else self.measure(steps)
        per_step = self._spec.batch * known["seconds"] / known["tokens"]
        return max(1, min(MOST_STEPS, round(turn_seconds / per_step)))

    def measure(self, steps: int) -> dict[str, Any]:
        return self._ask({"run": steps})

    def fvu(self) -> float | None:
        found: float | None = self._ask({"fvu": True})["fvu"]
        return found

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin, "it is a pipe"
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._listener.join()
            self._process = None
        self._log.unlink(missing_ok=True)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process, "it was started"
        assert self._process.stdin, "it is a pipe"
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise SideFailed(self._reason()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The next line that is an answer; libraries print others while they are imported."""
        while not (line := self._line()).startswith("{"):
            if not line:
                raise SideFailed(self._reason())
        return dict(json.loads(line))

    def _line(self) -> str:
        assert self._process, "it was started"
        try:
            return self._said.get(timeout=PATIENCE_SECONDS)
        except Empty:
            self._process.kill()
            raise SideFailed(f"said nothing for {PATIENCE_SECONDS:.0f} s") from None

    def _listen(self, answers: IO[str]) -> None:
        """In a thread: what the process says, line by line; an empty line is its end."""
        with answers:
            for line in answers:
                self._said.put(line)
        self._said.put("")

    def _reason(self) -> str:
        assert self._process, "it was started"
        code = self._process.wait()
        return ended_with(code, self._log.read_text(errors="replace"))


def interleaved(contenders: Sequence[Contender], rounds: int, say: Say, *, steps: int | None = None) -> list[Outcome]:
    """Measures all sides in `rounds` rounds; one that fails is left behind with the reason, the others go on.

    Without `steps` a side does as many in a round as take about two seconds.
    """
    outcomes = [Outcome(contender.name) for contender in contenders]
    running = list(zip(contenders, outcomes, strict=True))
    for contender, outcome in running:  # all import at the same time, and warm up one after another
        with _failures_noted(outcome, say):
            contender.start()
    for contender, outcome in running:
        if not outcome.failed:
            with _failures_noted(outcome, say):
                fitting = contender.warm_up(SECONDS_PER_TURN)
                outcome.steps = steps or fitting
    for number in range(1, rounds + 1):
        for contender, outcome in running:
            if outcome.failed:
                continue
            with _failures_noted(outcome, say):
                outcome.take(contender.measure(outcome.steps))
                say(f"  round {number}/{rounds}  {outcome.name:<34} {outcome.samples[-1]:>12,.0f} tokens/s")
    for contender, outcome in running:
        if not outcome.failed:
            with _failures_noted(outcome, say):
                outcome.fvu = contender.fvu()
        contender.close()
    return outcomes


def environment_of(spec: Spec, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a side: `variables`, nothing of the caller's allocator, no network, the spec's threads.

    Python may keep what it compiles: some peers import thousands of files at every start.
    """
    dropped = {*OF_OUR_WORKERS, "PYTHONDONTWRITEBYTECODE"}
    own = {name: value for name, value in os.environ.items() if name not in dropped}
    own |= {"OMP_NUM_THREADS": str(spec.threads), "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    own |= {"TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    return own | dict(variables)


def ended_with(code: int, said: str) -> str:
    """One line about a process that ended too early: its exit code and the last line that it wrote."""
    lines = said.strip().splitlines()
    return f"exit code {code}" + (f" ({lines[-1].strip()[:SAID_CHARACTERS]})" if lines else "")


@contextmanager
def _failures_noted(outcome: Outcome, say: Say) -> Iterator[None]:
    """Writes what goes wrong with a side into its outcome."""
    try:
        yield
    except (SideFailed, NotInstalled, ValueError, KeyError, OSError) as error:
        outcome.failed = str(error) or type(error).__name__
        say(f"  {outcome.name}: failed: {outcome.failed}")
