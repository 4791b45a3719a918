"""What comes before and after the training steps of one job: its start, its threshold, its files."""

from __future__ import annotations

from collections.abc import Generator

from experiments.engine.artifacts import ExperimentFolder, sha256_of
from experiments.engine.capture import Reading, capture_batches
from experiments.engine.checkpoints import TrainingState, load_checkpoint
from experiments.engine.corpus import WindowSet
from experiments.engine.fine_tuning import load_start
from experiments.engine.job import Job, ResumePoint
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.records import Record, StageFinished
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.threshold_fit import ThresholdFit
from experiments.engine.training import SegmentSource, start_training
from experiments.engine.windows import first_windows


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

    def finish(self, state: TrainingState) -> Generator[Record, None, Sae]:
        """Fits what training left open, writes the files and says so."""
        weights = yield from self._fitted(state)
        sae = self._save(state, weights)
        values = {"weights_sha256": sha256_of(self._folder.weights), "steps": state.trainer.step}
        yield StageFinished("training", values)
        return sae

    def _fitted(self, state: TrainingState) -> Generator[Record, None, Weights]:
        """The weights for hidden states as the model has them, with their threshold where training left it open."""
        architecture, weights = state.trainer.architecture, state.trainer.folded_weights()
        if not architecture.has_fitted_threshold:
            return weights
        text = first_windows(self._windows.held_out, self._config.training.threshold_tokens)
        fit, pace = ThresholdFit(architecture, weights, self._config.sae.k), Pace("training", *[text.text_tokens] * 2)
        reading = Reading(self._config.place, norm_limit=state.norm_limit)
        for (batch,) in capture_batches(self._model, text, [reading]):
            fit.add(batch.states)
            pace.advance(len(batch.states), len(batch.states))
            if pace.due:
                yield pace.report("fitting the threshold on held-out text")
        return fit.fitted()

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
