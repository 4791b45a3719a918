"""What comes before and after the training steps of one job: its start, its threshold, its files."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.capture import Reading, capture_batches
from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.corpus import WindowSet
from experiments.engine.fine_tuning import load_start
from experiments.engine.job import Job, ResumePoint
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.records import Progress, Record, StageFinished
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.training import SegmentSource, start_training
from experiments.engine.windows import first_windows


@dataclass(frozen=True)
class Fitting:
    """A threshold that training left open, fitted on the first `tokens` of the held-out text."""

    fit: ThresholdFit
    reading: Reading
    tokens: int


def fit_together(model: LanguageModel, windows: WindowSet, fittings: Sequence[Fitting]) -> Iterator[Progress]:
    """Fits the thresholds of SAEs that are trained side by side; the model reads the held-out text once for all."""
    for tokens in {fitting.tokens for fitting in fittings}:
        together = [fitting for fitting in fittings if fitting.tokens == tokens]
        text = first_windows(windows.held_out, tokens)
        pace = Pace("training", text.text_tokens, text.text_tokens)
        for batches in capture_batches(model, text, [fitting.reading for fitting in together]):
            for fitting, batch in zip(together, batches, strict=True):
                fitting.fit.add(batch.states)
            read = len(batches[0].positions) + batches[0].outliers_left_out
            pace.advance(read, read)
            if pace.due:
                yield pace.report("fitting the threshold on held-out text")


class Learning:
    """The SAE of one job on its way from the first hidden states to its files, trained alone or beside others.

    Raises ArtifactError or ConfigError for a start or a checkpoint that cannot be used.
    """

    def __init__(self, job: Job, resume: ResumePoint, model: LanguageModel, windows: WindowSet) -> None:
        self._config, self._folder = job.config, ExperimentFolder(job.folder)
        self._model, self._windows = model, windows
        self._start: Sae | None = None
        self.restored: TrainingState | None = None
        if resume.checkpoint:
            self.restored = load_checkpoint(
                resume.checkpoint, resume.checkpoint_sha256, job.config, self._folder, job.device
            )
        elif job.start_folder is not None:
            self._start = load_start(job.config, ExperimentFolder(job.start_folder), model, job.device)

    @property
    def reading(self) -> Reading:
        """What has to be captured for it; without a checkpoint the first segment sets the norm limit."""
        further = () if self._config.output_place is None else (self._config.output_place,)
        return Reading(self._config.place, further, self.restored.norm_limit if self.restored else None)

    def begin(self, source: SegmentSource) -> TrainingState:
        """The state before the first step; `source` holds the first segment."""
        return start_training(self._config, source, self._start)

    def fitting(self, state: TrainingState) -> Fitting | None:
        """What is to be fitted after the last step; None where training left nothing open."""
        architecture = state.trainer.architecture
        if not architecture.has_fitted_threshold:
            return None
        fit = ThresholdFit(architecture, state.trainer.folded_weights(), self._config.sae.k)
        reading = Reading(self._config.place, norm_limit=state.norm_limit)
        return Fitting(fit, reading, self._config.training.threshold_tokens)

    def finish(self, state: TrainingState, fitting: Fitting | None) -> Generator[Record, None, Sae]:
        """Writes the files and says so; `fitting` has been fitted."""
        sae = self._save(state, fitting.fit.fitted() if fitting else state.trainer.folded_weights())
        values = {"weights_sha256": sha256_of(self._folder.weights), "steps": state.trainer.step}
        yield StageFinished("training", values)
        return sae

    def _save(self, state: TrainingState, weights: Weights) -> Sae:
        config = self._config
        description = SaeDescription(
            architecture=config.sae.architecture,
            n_features=config.sae.n_features,
            width=self._model.width_of(config.place),
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
