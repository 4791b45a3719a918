"""Many SAEs trained side by side from one capture pass, each with the weights that it would have got alone.

The members share the text and its order, so that a segment is captured once, at all the places that any of them
reads. Each keeps its own position in the stream and its own checkpoints; after a crash they may stand at different
steps. The sweep then goes on at the segment of the member that is furthest behind, and those that are ahead wait.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from experiments.engine import devices
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.cached_segments import kept_segments
from experiments.engine.capture import Reading
from experiments.engine.checkpoints import TrainingState
from experiments.engine.config import ConfigError, ExperimentConfig, validate
from experiments.engine.corpus import WindowSet, capture_finished, prepare_windows
from experiments.engine.corpus_source import CorpusCapture
from experiments.engine.job import Job, ResumePoint
from experiments.engine.language_model import LanguageModel
from experiments.engine.learning import Fitting, Learning, fit_together
from experiments.engine.model_loading import open_language_model
from experiments.engine.pace import Pace
from experiments.engine.pipeline import write_config
from experiments.engine.records import MemberFailed, ModelLoaded, Progress, Record, StageFinished
from experiments.engine.resources import resources_used
from experiments.engine.segments import Position
from experiments.engine.training import ShouldCheckpoint, Training

Result = TypeVar("Result")


@dataclass(frozen=True)
class Member:
    """One experiment of a sweep: what to do, where to go on, and whom to ask whether a checkpoint is wanted."""

    job: Job
    resume: ResumePoint
    should_checkpoint: ShouldCheckpoint


# The number of a member and what happened to it.
Event: TypeAlias = tuple[int, Record | MemberFailed]


class SideBySide:
    """Trains the members of a sweep up to their StageFinished("training"); then each goes on by itself.

    Raises ConfigError for members that do not share their text, and whatever happens to all of them at once.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        _refuse_unlike([member.job.config for member in members])
        self._members = dict(enumerate(members))
        self._together = len(members)
        self._learning: dict[int, Learning] = {}
        self._training: dict[int, Training] = {}

    def drop(self, number: int) -> None:
        """Takes a member out between two events: it was cancelled or paused, or it belongs to somebody else now."""
        for members in (self._members, self._learning, self._training):
            members.pop(number, None)

    def run(self) -> Iterator[Event]:
        """The events of all members, in the order in which they happen. Closing it is as good as dropping all."""
        jobs = [member.job for member in self._members.values()]
        with closing(self._run()) as events:
            for number, record in events:
                if isinstance(record, StageFinished):
                    device, precision = jobs[number].device, jobs[number].config.training.precision
                    yield number, resources_used(record.stage, device, precision, self._together)
                yield number, record

    def _run(self) -> Generator[Event, None, None]:
        first = self._members[0].job
        devices.prepare(first.device, first.threads)
        model = yield from self._told_to_all(
            open_language_model(first.config.model, first.model_path, device=first.device)
        )
        yield from self._to_all(ModelLoaded(model.revision, model.parameters))
        windows = yield from self._told_to_all(
            prepare_windows(first.config, model.tokenizer, first.corpus_path, first.cache_folder)
        )
        yield from self._prepare(model, windows)
        if not self._learning:
            return
        readings = self._readings()
        jobs = [self._members[number].job for number in readings]
        with ExitStack() as open_until_trained:
            cached = open_until_trained.enter_context(kept_segments(jobs, model, windows.key, list(readings.values())))
            capture = CorpusCapture(
                first.config, model, windows.training, list(readings.values()), cached, overlaps=first.overlaps
            )
            open_until_trained.enter_context(closing(capture))
            self._sources = dict(zip(readings, capture.sources, strict=True))
            yield from self._begin(capture, windows)
            while places := [_place(training.state.position) for training in self._training.values()]:
                yield from self._capture(capture, min(places)[1])
                self._capture_ahead(capture, min(places))
                yield from self._train_on_segment(min(places))
                if any(training.is_done for training in self._training.values()):
                    capture.close()  # the model reads one text at a time
                    yield from self._finish(model, windows)

    def _to_all(self, record: Record) -> Iterator[Event]:
        for number in list(self._members):
            yield number, record

    def _told_to_all(self, work: Generator[Progress, None, Result]) -> Generator[Event, None, Result]:
        """The same work, told to every member as part of the stage that it is in."""
        try:
            while True:
                progress = next(work)
                for number, member in list(self._members.items()):
                    yield number, replace(progress, stage=member.resume.first_stage)
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            work.close()

    def _prepare(self, model: LanguageModel, windows: WindowSet) -> Iterator[Event]:
        for number, member in list(self._members.items()):
            try:
                validate(member.job.config, model.card)
                write_config(member.job.config, model, ExperimentFolder(member.job.folder))
                self._learning[number] = Learning(member.job, member.resume, model, windows)
            except Exception as error:
                yield from self._failed(number, error)

    def _readings(self) -> dict[int, Reading]:
        """Of each member; one that begins anew takes the norm limit that another one has from the same place."""
        readings = {number: learning.reading for number, learning in self._learning.items()}
        limits = {r.place: r.norm_limit for r in readings.values() if r.norm_limit is not None}
        return {number: replace(r, norm_limit=limits.get(r.place)) for number, r in readings.items()}

    def _begin(self, capture: CorpusCapture, windows: WindowSet) -> Iterator[Event]:
        """Every member gets its trainer, from its checkpoint or from the first segment."""
        if any(learning.restored is None for learning in self._learning.values()):
            yield from self._capture_first_segment(capture)
        for number, learning in list(self._learning.items()):
            if number not in self._members:
                continue
            member, source = self._members[number], self._sources[number]
            try:
                state = learning.restored or learning.begin(source)
            except Exception as error:
                yield from self._failed(number, error)
                continue
            folder = ExperimentFolder(member.job.folder)
            self._training[number] = Training(member.job.config, state, source, folder, member.should_checkpoint)
            if learning.restored is None:
                yield number, capture_finished(windows, source.segments, source.outliers_left_out, source.norm_limit)

    def _capture_first_segment(self, capture: CorpusCapture) -> Iterator[Event]:
        tokens = capture.text_tokens(0)
        pace = Pace("capture", tokens, tokens)
        for done in capture.capture(0):
            pace.advance(done - pace.tokens, done - pace.tokens)
            if pace.due:
                progress = pace.report("reading text")
                for number, learning in list(self._learning.items()):
                    yield number, progress if learning.restored is None else replace(progress, stage="training")

    def _capture(self, capture: CorpusCapture, segment: int) -> Iterator[Event]:
        for _ in capture.capture(segment):
            for number, training in list(self._training.items()):
                if training.pace.due:
                    yield number, training.pace.report("reading text")
                yield from self._checkpoints(number)

    def _capture_ahead(self, capture: CorpusCapture, place: tuple[int, int]) -> None:
        """Begins with what is wanted when the members at `place`, whose segment is held, are done with it."""
        positions = [training.state.position for training in self._training.values()]
        later = [position for position in positions if _place(position) != place]
        turns = [training for training in self._training.values() if _place(training.state.position) == place]
        later += [position for position in (training.following for training in turns) if position]
        if later:
            capture.capture_ahead(min(later, key=_place).segment)

    def _train_on_segment(self, place: tuple[int, int]) -> Iterator[Event]:
        """Members whose turn it is take turns, from one of their records to the next; the others may save."""
        turns = {
            number: training.on_segment()
            for number, training in self._training.items()
            if _place(training.state.position) == place
        }
        while turns:
            for number in list(self._training):
                if number in turns and number in self._training:
                    yield from self._turn(number, turns)
                else:
                    yield from self._checkpoints(number)
            for number in turns.keys() - self._training.keys():
                turns.pop(number).close()

    def _turn(self, number: int, turns: dict[int, Generator[Record, None, None]]) -> Iterator[Event]:
        try:
            record = next(turns[number], None)
        except Exception as error:
            yield from self._failed(number, error)
            return
        if record is not None:
            yield number, record
        else:
            del turns[number]

    def _finish(self, model: LanguageModel, windows: WindowSet) -> Iterator[Event]:
        """What follows the last step, for those that have done it: they read the held-out text together."""
        done = {number: training.state for number, training in self._training.items() if training.is_done}
        fittings = {number: self._learning[number].fitting(state) for number, state in done.items()}
        for progress in fit_together(model, windows, [fitting for fitting in fittings.values() if fitting]):
            for number in list(self._training):
                if number in done:
                    yield number, progress
                else:
                    yield from self._checkpoints(number)
        for number, state in done.items():
            if number in self._members:
                yield from self._finished(number, state, fittings[number])

    def _finished(self, number: int, state: TrainingState, fitting: Fitting | None) -> Iterator[Event]:
        yield number, self._training[number].pace.report()
        try:
            for record in self._learning[number].finish(state, fitting):
                yield number, record
        except Exception as error:
            yield from self._failed(number, error)
        else:
            self.drop(number)

    def _checkpoints(self, number: int) -> Iterator[Event]:
        if number in self._training:
            for saved in self._training[number].checkpoint_if_wanted():
                yield number, saved

    def _failed(self, number: int, error: Exception) -> Iterator[Event]:
        self.drop(number)
        yield number, MemberFailed(error)


def _place(position: Position) -> tuple[int, int]:
    """Which segment of which epoch a member trains on; where two are, the smaller comes first."""
    return position.epoch, position.segment


def _refuse_unlike(configs: Sequence[ExperimentConfig]) -> None:
    """Raises ConfigError when the members would not read the same text in the same order."""
    if len({_stream(config) for config in configs}) > 1:
        raise ConfigError(
            "stream_seed",
            "The experiments of a sweep share model, corpus, windows, batch, tokens and order of the text.",
        )


def _stream(config: ExperimentConfig) -> tuple[object, ...]:
    training = config.training
    cut = (config.context_length, config.packing, config.order_seed, training.segment_tokens, training.batch_tokens)
    sizes = (training.tokens, training.held_out_share, config.evaluation_tokens, config.harvested_tokens)
    return (config.model, config.corpus, *cut, *sizes)
