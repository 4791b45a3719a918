"""One experiment from model to feature index: capture, training, evaluation, harvest, as one stream of records."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from experiments.engine.artifacts import ExperimentFolder, sha256_of, write_json
from experiments.engine.capture import Reading, capture_batches
from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.config import ExperimentConfig, as_json, validate
from experiments.engine.corpus import WindowSet, prepare_windows
from experiments.engine.corpus_source import CorpusSource, corpus_source
from experiments.engine.evaluation import Evaluation
from experiments.engine.harvest import harvest
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_loading import open_language_model
from experiments.engine.pace import Pace
from experiments.engine.records import ModelLoaded, Progress, Record, Stage, StageFinished
from experiments.engine.sae import Sae, SaeDescription, load_sae, save_sae
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.training import ShouldCheckpoint, start_training, train
from experiments.engine.windows import first_windows

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What to do, where to put it, and on which device with how many processor threads.

    `model_path` is the folder of a built-in or local model, `corpus_path` the file of an uploaded corpus.
    """

    config: ExperimentConfig
    folder: Path
    model_path: str
    corpus_path: Path | None
    cache_folder: Path
    device: str
    threads: int


@dataclass(frozen=True)
class ResumePoint:
    """Where an interrupted job goes on: the stage it was in, and the last checkpoint that was reported."""

    stage: str
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None


def never() -> bool:
    return False


def run(job: Job, resume: ResumePoint | None = None, should_checkpoint: ShouldCheckpoint = never) -> Iterator[Record]:
    """Runs the stages that are left, in order, with one loaded model; each ends with StageFinished.

    Closing the generator stops it at the record it yielded last, and all that was reported is on disk: a later run
    with the ResumePoint of the last Checkpointed and StageFinished ends in the same weights, bit for bit.
    `should_checkpoint` is asked between training steps and forces a checkpoint.
    """
    return _Pipeline(job, resume or ResumePoint("capture"), should_checkpoint).run()


class _Pipeline:
    def __init__(self, job: Job, resume: ResumePoint, should_checkpoint: ShouldCheckpoint) -> None:
        self._job, self._resume, self._should_checkpoint = job, resume, should_checkpoint
        self._config, self._folder = job.config, ExperimentFolder(job.folder)

    def run(self) -> Iterator[Record]:
        torch.set_num_threads(self._job.threads)
        stage = self._first_stage()
        model = yield from _told_as(
            stage, open_language_model(self._config.model, self._job.model_path, device=self._job.device)
        )
        yield ModelLoaded(model.revision, model.parameters)
        validate(self._config, model.card)
        write_json(self._folder.config, as_json(self._with_revision(model.revision)))
        windows = yield from _told_as(
            stage, prepare_windows(self._config, model.tokenizer, self._job.corpus_path, self._job.cache_folder)
        )
        if stage in ("capture", "training"):
            sae = yield from self._learn(model, windows)
        else:
            sae = load_sae(self._folder, self._job.device)
        if stage != "harvest":
            yield from self._evaluate(model, sae, windows)
        yield from self._harvest(model, sae, windows)

    def _first_stage(self) -> Stage:
        if self._resume.stage in ("evaluation", "harvest"):
            return self._resume.stage  # type: ignore[return-value]  # mypy does not narrow a str to a Literal
        return "training" if self._resume.checkpoint else "capture"

    def _with_revision(self, revision: str | None) -> ExperimentConfig:
        return replace(self._config, model=replace(self._config.model, revision=revision))

    def _learn(self, model: LanguageModel, windows: WindowSet) -> Generator[Record, None, Sae]:
        if self._resume.checkpoint:
            state = load_checkpoint(
                self._resume.checkpoint, self._resume.checkpoint_sha256, self._config, self._folder, self._job.device
            )
            source = corpus_source(self._config, model, windows.training, state.norm_limit)
        else:
            source = corpus_source(self._config, model, windows.training)
            yield from self._capture_first_segment(source, windows)
            state = start_training(self._config, source)
        yield from train(self._config, state, source, self._folder, self._should_checkpoint)
        weights = yield from self._fitted(state, model, windows)
        sae = self._save(state, weights, model)
        yield StageFinished(
            "training", {"weights_sha256": sha256_of(self._folder.weights), "steps": state.trainer.step}
        )
        return sae

    def _fitted(
        self, state: TrainingState, model: LanguageModel, windows: WindowSet
    ) -> Generator[Record, None, Weights]:
        """The weights for hidden states as the model has them, with their threshold where training left it open."""
        architecture, weights = state.trainer.architecture, state.trainer.folded_weights()
        if not architecture.has_fitted_threshold:
            return weights
        text = first_windows(windows.held_out, self._config.training.threshold_tokens)
        fit, pace = ThresholdFit(architecture, weights, self._config.sae.k), Pace("training", *[text.text_tokens] * 2)
        reading = Reading(self._config.place, norm_limit=state.norm_limit)
        for (batch,) in capture_batches(model, text, [reading]):
            fit.add(batch.states)
            pace.advance(len(batch.states), len(batch.states))
            if pace.due:
                yield pace.report("fitting the threshold on held-out text")
        return fit.fitted()

    def _capture_first_segment(self, source: CorpusSource, windows: WindowSet) -> Iterator[Record]:
        tokens = source.text_tokens(0)
        pace = Pace("capture", tokens, tokens)
        for done in source.capture(0):
            pace.advance(done - pace.tokens, done - pace.tokens)
            if pace.due:
                yield pace.report("reading text")
        yield StageFinished(
            "capture",
            {
                "training_tokens": windows.training.text_tokens,
                "held_out_tokens": windows.held_out.text_tokens,
                "split": windows.split,
                **asdict(windows.read),
                "segments": source.segments,
                "outliers_left_out": source.outliers_left_out,
                "norm_limit": source.norm_limit,
            },
        )

    def _save(self, state: TrainingState, weights: Weights, model: LanguageModel) -> Sae:
        config = self._config
        description = SaeDescription(
            architecture=config.sae.architecture,
            n_features=config.sae.n_features,
            width=model.width_of(config.place),
            k=config.sae.k,
            model=config.model.canonical,
            layer=config.layer,
            site=config.site,
            norm_limit=state.norm_limit,
            output_site=config.sae.output_site,
            expected_l0=state.trainer.last_l0,
        )
        sae = Sae(weights, description)
        save_sae(sae, self._folder)
        return sae

    def _evaluate(self, model: LanguageModel, sae: Sae, windows: WindowSet) -> Iterator[Record]:
        text = first_windows(windows.held_out, self._config.evaluation_tokens)
        evaluation = Evaluation(model, sae, text, windows.concepts, self._config.splice_tokens)
        quality = yield from evaluation.run(self._folder)
        yield StageFinished("evaluation", quality)

    def _harvest(self, model: LanguageModel, sae: Sae, windows: WindowSet) -> Iterator[Record]:
        harvested = yield from harvest(model, sae, windows, self._config.harvest_tokens, self._folder)
        yield StageFinished("harvest", harvested)


def _told_as(stage: Stage, work: Generator[Progress, None, Result]) -> Generator[Progress, None, Result]:
    """The same work, told as part of `stage`: a resumed job reads its text again, but is no longer in capture."""
    try:
        while True:
            yield replace(next(work), stage=stage)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        work.close()
