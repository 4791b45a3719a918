"""One experiment from model to feature index: capture, training, evaluation, harvest, as one stream of records.

Where the SAE comes from another tool, an import stands in place of capture and training.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TypeVar

from experiments.engine import devices
from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.cached_segments import kept_segments
from experiments.engine.config import ExperimentConfig, as_json, validate
from experiments.engine.corpus import WindowSet, capture_finished, prepare_windows
from experiments.engine.corpus_source import CorpusCapture, CorpusSource
from experiments.engine.evaluation import Evaluation
from experiments.engine.harvest import harvest
from experiments.engine.importing import import_sae
from experiments.engine.job import Job, ResumePoint
from experiments.engine.language_model import LanguageModel
from experiments.engine.learning import Learning, fit_together
from experiments.engine.model_loading import open_language_model
from experiments.engine.pace import Pace
from experiments.engine.processes import ALONE, Processes
from experiments.engine.records import ModelLoaded, Progress, Record, Stage, StageFinished
from experiments.engine.resources import with_resources
from experiments.engine.sae import Sae, load_sae
from experiments.engine.training import ShouldCheckpoint, Training
from experiments.engine.windows import first_windows

Result = TypeVar("Result")


def never() -> bool:
    return False


def run(
    job: Job,
    resume: ResumePoint | None = None,
    should_checkpoint: ShouldCheckpoint = never,
    processes: Processes = ALONE,
) -> Iterator[Record]:
    """Runs the stages that are left, in order, with one loaded model; each ends with StageFinished.

    Closing the generator stops it at the record it yielded last, and all that was reported is on disk: a later run
    with the ResumePoint of the last Checkpointed and StageFinished ends in the same weights, bit for bit.
    `should_checkpoint` is asked between training steps and forces a checkpoint. Of several `processes` each reads all
    of the text, and takes its share of every training step; the first alone saves checkpoints.
    """
    pipeline = _Pipeline(job, resume or ResumePoint("capture"), should_checkpoint, processes)
    return with_resources(pipeline.run(), job.device, job.config.training.precision)


class _Pipeline:
    def __init__(
        self, job: Job, resume: ResumePoint, should_checkpoint: ShouldCheckpoint, processes: Processes
    ) -> None:
        self._processes = processes
        self._job, self._resume, self._should_checkpoint = job, resume, should_checkpoint
        self._config, self._folder = job.config, ExperimentFolder(job.folder)

    def run(self) -> Generator[Record, None, None]:
        devices.prepare(self._job.device, self._job.threads)
        stage = self._resume.first_stage
        model = yield from told_as(
            stage, open_language_model(self._config.model, self._job.model_path, device=self._job.device)
        )
        yield ModelLoaded(model.revision, model.parameters)
        validate(self._config, model.card)
        write_config(self._config, model, self._folder)
        windows = yield from told_as(
            stage, prepare_windows(self._config, model.tokenizer, self._job.corpus_path, self._job.cache_folder)
        )
        if stage in ("capture", "training"):
            sae = yield from self._made(model, windows)
        else:
            sae = load_sae(self._folder, self._job.device)
        if stage != "harvest":
            yield from self._evaluate(model, sae, windows)
        yield from self._harvest(model, sae, windows)

    def _made(self, model: LanguageModel, windows: WindowSet) -> Generator[Record, None, Sae]:
        if self._config.imported is not None:
            return (yield from import_sae(self._job, model, windows))
        return (yield from self._learn(model, windows))

    def _learn(self, model: LanguageModel, windows: WindowSet) -> Generator[Record, None, Sae]:
        learning = Learning(self._job, self._resume, model, windows)
        readings = [learning.reading]
        with ExitStack() as open_until_trained:
            cached = open_until_trained.enter_context(kept_segments([self._job], model, windows.key, readings))
            capture = CorpusCapture(
                self._config, model, windows.training, readings, cached, overlaps=self._job.overlaps
            )
            open_until_trained.enter_context(closing(capture))
            (source,) = capture.sources
            if (state := learning.restored) is None:
                yield from self._capture_first_segment(source, windows)
                state = learning.begin(source)
            state.trainer.join(self._processes)
            training = Training(self._config, state, source, self._folder, self._should_checkpoint)
            yield from training.run()
        fitting = learning.fitting(training.state)
        yield from fit_together(model, windows, [fitting] if fitting else [])
        return (yield from learning.finish(training.state, fitting))

    def _capture_first_segment(self, source: CorpusSource, windows: WindowSet) -> Iterator[Record]:
        tokens = source.text_tokens(0)
        pace = Pace("capture", tokens, tokens)
        for done in source.capture(0):
            pace.advance(done - pace.tokens, done - pace.tokens)
            if pace.due:
                yield pace.report("reading text")
        yield capture_finished(windows, source.segments, source.outliers_left_out, source.norm_limit)

    def _evaluate(self, model: LanguageModel, sae: Sae, windows: WindowSet) -> Iterator[Record]:
        text = first_windows(windows.held_out, self._config.evaluation_tokens)
        evaluation = Evaluation(
            model, sae, text, windows.concepts, self._config.splice_tokens, variants=self._config.variants
        )
        quality = yield from evaluation.run(self._folder)
        yield StageFinished("evaluation", quality)

    def _harvest(self, model: LanguageModel, sae: Sae, windows: WindowSet) -> Iterator[Record]:
        harvested = yield from harvest(model, sae, windows, self._config.harvested_tokens, self._folder)
        yield StageFinished("harvest", harvested)


def evaluate(job: Job) -> Iterator[Record]:
    """Evaluates the finished SAE in the folder of `job` once more; ends with StageFinished of the evaluation."""
    records = run(job, ResumePoint("evaluation"))
    for record in records:
        yield record
        if isinstance(record, StageFinished):
            return


def write_config(config: ExperimentConfig, model: LanguageModel, folder: ExperimentFolder) -> None:
    """Writes what was asked for, with the commit of the model that was loaded."""
    settled = replace(config, model=replace(config.model, revision=model.revision))
    write_json(folder.config, as_json(settled))


def told_as(stage: Stage, work: Generator[Progress, None, Result]) -> Generator[Progress, None, Result]:
    """The same work, told as part of `stage`: a resumed job reads its text again, but is no longer in capture."""
    try:
        while True:
            yield replace(next(work), stage=stage)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        work.close()
