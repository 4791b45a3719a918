"""Training as a stream of records: segments in, measurements and checkpoints out, the same weights every time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from experiments.engine.artifacts import ExperimentFolder, checkpoint_name
from experiments.engine.checkpoints import TrainingState, save_checkpoint
from experiments.engine.config import ExperimentConfig
from experiments.engine.fine_tuning import starting_weights
from experiments.engine.input_statistics import measure
from experiments.engine.pace import Pace
from experiments.engine.records import Checkpointed, Measurement, Record
from experiments.engine.sae import Sae
from experiments.engine.segments import Position, batches_of, shuffled
from experiments.engine.trainer import StepOutcome, Trainer, initial_weights

ShouldCheckpoint: TypeAlias = Callable[[], bool]

# A checkpoint of a large SAE takes a second: they are made so seldom that all together take at most this of the time.
SHARE_FOR_CHECKPOINTS = 0.01


class SegmentSource(Protocol):
    """Where hidden states come from: the corpus read by the language model, or anything else that is repeatable."""

    @property
    def segments(self) -> int:
        """How many segments one epoch has."""

    @property
    def norm_limit(self) -> float:
        """Hidden states with a larger norm are left out."""

    def text_tokens(self, segment: int) -> int:
        """How many tokens of text a segment has, outliers too."""

    def capture(self, segment: int) -> Iterator[int]:
        """Captures a segment so that `hidden_states` holds it; yields the tokens read so far."""

    def capture_ahead(self, segment: int) -> None:
        """Told which segment is wanted next, while the one that is held is in use; it may begin with that."""

    @property
    def hidden_states(self) -> Tensor:
        """The captured segment, float32 [T, W]; the same for the same segment, always."""

    @property
    def further(self) -> tuple[Tensor, ...]:
        """The hidden states of the same tokens that a transcoder reconstructs, [T, W']; none for an autoencoder."""


def start_training(config: ExperimentConfig, source: SegmentSource, start: Sae | None = None) -> TrainingState:
    """The state before the first step, from the first segment, which `source` has captured; `start` is fine-tuned."""
    states = source.hidden_states
    order = torch.from_numpy(shuffled(len(states), config.order_seed, Position())).to(states.device)
    inputs = states[order]
    statistics = measure(inputs, source.further[0][order] if source.further else inputs)
    weights = initial_weights(config.sae, statistics, config.seed)
    if start is not None:
        weights = starting_weights(start, weights, statistics.scales)
    trainer = Trainer(config.sae, config.training, weights, statistics.scales, seed=config.seed)
    return TrainingState(trainer, Position(), source.norm_limit)


class Training:
    """Trains `state.trainer` to the end of the configured steps: by itself, or segment by segment beside others.

    Yields Progress about twice a second, Measurement every `metric_every` steps and Checkpointed every
    `checkpoint_seconds` (less often where one takes long) or as soon as `should_checkpoint` says so. Closing a
    generator loses only the steps since the last checkpoint. Raises TrainingDiverged; the last checkpoint is then from
    before.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        state: TrainingState,
        source: SegmentSource,
        folder: ExperimentFolder,
        should_checkpoint: ShouldCheckpoint,
    ) -> None:
        self.config, self.state, self.source, self.folder = config, state, source, folder
        self.should_checkpoint = should_checkpoint
        batch_tokens = config.training.batch_tokens
        steps, step = config.training.steps, state.position.step
        self.pace = Pace("training", steps, steps * batch_tokens, step, step * batch_tokens)
        self.saved_step, self.saved_at, self.saving_took = step, time.monotonic(), 0.0

    @property
    def is_done(self) -> bool:
        return self.state.position.step >= self.config.training.steps

    @property
    def following(self) -> Position | None:
        """Where training goes on after the segment that the source holds; None when it ends in that one."""
        position = self.state.position
        ends = position.step + len(self._batches()) - position.batch >= self.config.training.steps
        return None if ends else position.after_segment(self.source.segments)

    def run(self) -> Iterator[Record]:
        """Captures and trains to the end."""
        while not self.is_done:
            yield from self._capture()
            if following := self.following:
                self.source.capture_ahead(following.segment)
            yield from self.on_segment()
        yield self.pace.report()

    def on_segment(self) -> Generator[Record, None, None]:
        """Trains on what is left of the segment that the source holds, and moves on to the next one."""
        yield from self._train_on_segment()
        following = self.state.position.after_segment(self.source.segments)
        self.state = replace(self.state, position=following)

    def checkpoint_if_wanted(self) -> Iterator[Checkpointed]:
        """Saves a checkpoint if there is something to save, and it is time or somebody asks for it."""
        if not self.state.trainer.processes.is_first:
            return
        began = time.monotonic()
        wait = max(self.config.training.checkpoint_seconds, self.saving_took / SHARE_FOR_CHECKPOINTS)
        wanted = self.should_checkpoint() or began - self.saved_at >= wait
        if not wanted or self.state.position.step == self.saved_step:
            return
        saved = save_checkpoint(self.state, self.config, self.folder)
        yield saved
        # Whoever took the record now knows the new checkpoint; only then may the one before the last go.
        self.folder.keep_checkpoints(saved.name, checkpoint_name(self.saved_step))
        self.saved_step, self.saved_at = saved.step, time.monotonic()
        self.saving_took = self.saved_at - began

    def _capture(self) -> Iterator[Record]:
        for _ in self.source.capture(self.state.position.segment):
            if self.pace.due:
                yield self.pace.report("reading text")
            yield from self.checkpoint_if_wanted()

    def _train_on_segment(self) -> Iterator[Record]:
        states = self.source.hidden_states
        targets = self.source.further[0] if self.source.further else None
        order = torch.from_numpy(shuffled(len(states), self.config.order_seed, self.state.position)).to(states.device)
        for batch in self._batches()[self.state.position.batch :]:
            if self.state.position.step >= self.config.training.steps:
                return
            chosen = order[batch]
            yield from self._step(states[chosen], None if targets is None else targets[chosen])

    def _batches(self) -> list[slice]:
        """Those of the segment that the source holds."""
        text = self.source.text_tokens(self.state.position.segment)
        return batches_of(len(self.source.hidden_states), text, self.config.training.batch_tokens)

    def _step(self, hidden_states: Tensor, targets: Tensor | None) -> Iterator[Record]:
        outcome = self.state.trainer.train_on(hidden_states, targets)
        self.state = replace(self.state, position=self.state.position.after_batch())
        self.pace.advance(self.config.training.batch_tokens)
        step = self.state.position.step
        if step % self.config.training.metric_every == 0 or step == self.config.training.steps:
            yield self._measurement(outcome)
        if self.pace.due:
            yield self.pace.report()
        yield from self.checkpoint_if_wanted()

    def _measurement(self, outcome: StepOutcome) -> Measurement:
        values = {
            "loss": outcome.loss,
            "penalty": outcome.penalty,
            "auxiliary_loss": outcome.auxiliary_loss,
            "explained_variance": outcome.explained_variance,
            "l0": outcome.l0,
            "dead_share": self.state.trainer.dead_share,
            "gradient_norm": outcome.gradient_norm,
            "learning_rate": outcome.learning_rate,
        }
        return Measurement(self.state.position.step, self.pace.tokens, values)
