"""Reads prompts, in the lens worker or in the foreground of a command. The only module here that brings in torch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from experiments.engine.config import ExperimentConfig
from experiments.engine.machine import cpu_threads, resolve_device
from experiments.failures import is_out_of_memory
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from experiments.services.language_models import model_path
from latentlens.lib.logs import experiment_log, get_logger
from lens.models import Analysis
from lens.resident import ResidentLenses, memory_budget
from lens.services.readings import result_of

if TYPE_CHECKING:
    from experiments.engine.analysis import PromptLens

# A prompt that took its worker down this often is not read again.
MAXIMUM_ATTEMPTS = 3
_PENDING = (Analysis.Status.QUEUED, Analysis.Status.RUNNING)
_log = get_logger(__name__)


def read(analysis_id: str | UUID) -> None:
    """Reads one analysis and stores what came out: the tokens, or one sentence that says why not.

    An analysis that is answered or deleted is left alone, so a message may come twice.
    """
    analysis = _begin(analysis_id)
    if analysis is None:
        return
    with experiment_log(analysis.experiment_id):
        if analysis.attempts > MAXIMUM_ATTEMPTS:
            _fail(analysis, "Reading this prompt stopped the worker again and again; try a shorter prompt.")
            return
        try:
            _resident().drop_deleted()
            reading = _resident().lens_for(analysis.experiment).read(analysis.text, analysis.top_k)
            _finish(analysis, status=Analysis.Status.FINISHED, result=result_of(reading))
        except Exception as error:  # any reason becomes one sentence for the person who waits
            _fail(analysis, _sentence(error), error)


def prepare(experiment_id: int) -> None:
    """Loads the lens of an experiment before its first prompt comes; that prompt will say what cannot be loaded."""
    experiment = Experiment.objects.filter(pk=experiment_id).first()
    if experiment is None:
        return
    with experiment_log(experiment_id):
        try:
            _resident().lens_for(experiment)
        except Exception as error:  # nobody waits for it
            _log.warning("lens not loaded", reason=_sentence(error), exc_info=error)


def _begin(analysis_id: str | UUID) -> Analysis | None:
    pending = Analysis.objects.filter(pk=analysis_id, status__in=_PENDING)
    if not pending.update(status=Analysis.Status.RUNNING, attempts=F("attempts") + 1):
        return None
    return Analysis.objects.select_related("experiment").filter(pk=analysis_id).first()


def _finish(analysis: Analysis, **answer: object) -> None:
    """Stores the answer, unless another worker was faster."""
    Analysis.objects.filter(pk=analysis.pk, status__in=_PENDING).update(finished_at=timezone.now(), **answer)


def _fail(analysis: Analysis, sentence: str, error: Exception | None = None) -> None:
    _log.warning("prompt not read", analysis=str(analysis.pk), reason=sentence, exc_info=error)
    _finish(analysis, status=Analysis.Status.FAILED, error=sentence)


def _sentence(error: Exception) -> str:
    """The engine's own refusals are written for people; of anything else only the log knows more."""
    if isinstance(error, ValueError) and type(error).__module__.startswith("experiments.engine"):
        return str(error)
    if is_out_of_memory(error):
        return "The model and this prompt do not fit into the memory of the lens worker: try a shorter prompt."
    return "Something went wrong while the prompt was read; the log of the lens worker says what."


@cache
def _resident() -> ResidentLenses[PromptLens]:
    """The lenses of this process; the first call also tells torch how many threads it may use."""
    from experiments.engine import devices  # noqa: PLC0415

    devices.prepare(resolve_device(settings.DEVICE), cpu_threads())
    return ResidentLenses(_load, memory_budget())


def _load(experiment: Experiment) -> PromptLens:
    from experiments.engine.analysis import PromptLens  # noqa: PLC0415

    config = ExperimentConfig.from_json(experiment.config)
    return PromptLens.load(
        experiment_folder(experiment.pk),
        config,
        model_path=model_path(config.model),
        revision=experiment.model_revision or None,
        device=resolve_device(settings.DEVICE),
    )
