"""Analyses from the asking side: ask for one, wait for it, ask again when nobody answers."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments.models import Experiment
from experiments.services.workers import worker_is_alive
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Conflict, NotFound, refused_field
from latentlens.lib.text import clean_text
from lens.models import Analysis
from lens.tasks import prepare_lens, read_prompt

TEXT_MAXIMUM = 100_000
TOP_K_DEFAULT, TOP_K_MAXIMUM = 10, 256
WAIT_MAXIMUM = 30.0
POLL_SECONDS = 0.012
# A worker that is there and has not answered for this long may have died with the message in its hands.
PATIENCE = timedelta(seconds=30)


def expect_prompt(experiment_id: int) -> bool:
    """Somebody is about to type a prompt: has its model loaded meanwhile. False where no lens worker is running."""
    if not worker_is_alive("lens"):
        return False
    transaction.on_commit(partial(prepare_lens.apply_async, (experiment_id,), retry=False), robust=True)
    return True


def draft_analysis(
    experiment_id: int, text: str, top_k: int = TOP_K_DEFAULT, author: User | AnonymousUser | None = None
) -> Analysis:
    """A stored analysis that no worker has been told of. Raises `NotFound`, `Conflict` or `Refused`."""
    experiment = readable_experiment(experiment_id)
    return Analysis.objects.create(
        experiment=experiment,
        text=clean_prompt(text),
        top_k=parse_integer(top_k, field="top_k", minimum=1, maximum=TOP_K_MAXIMUM),
        author=author if author and author.is_authenticated else None,
    )


def request_analysis(
    experiment_id: int, text: str, top_k: int = TOP_K_DEFAULT, author: User | AnonymousUser | None = None
) -> Analysis:
    """Asks the lens workers to read `text` through a finished experiment. Raises as `draft_analysis` does."""
    analysis = draft_analysis(experiment_id, text, top_k, author)
    _tell_workers(analysis.pk)
    return analysis


def wait_for(analysis: Analysis, seconds: float) -> Analysis:
    """The analysis as it stands once it is answered, or after `seconds`; at once where nobody could answer."""
    deadline = time.monotonic() + min(seconds, WAIT_MAXIMUM)
    pending = Analysis.objects.filter(pk=analysis.pk, status__in=[Analysis.Status.QUEUED, Analysis.Status.RUNNING])
    is_served = worker_is_alive("lens")
    while is_served and time.monotonic() < deadline and pending.exists():
        time.sleep(POLL_SECONDS)
    found = find_analysis(analysis.pk)
    if is_served and found.is_pending:
        remind_workers(found)
    return found


def remind_workers(analysis: Analysis) -> bool:
    """Tells the workers again of an analysis that has waited too long; of several callers one does it."""
    overdue = Analysis.objects.filter(pk=analysis.pk, enqueued_at__lt=timezone.now() - PATIENCE)
    if not overdue.update(enqueued_at=timezone.now()):
        return False
    _tell_workers(analysis.pk)
    return True


def find_analysis(analysis_id: UUID) -> Analysis:
    """One analysis with its experiment. Raises `NotFound`."""
    try:
        return Analysis.objects.select_related("experiment").get(pk=analysis_id)
    except Analysis.DoesNotExist:
        raise NotFound("There is no such analysis; it may have been deleted with its experiment.") from None


def analyses_of(author: User | AnonymousUser) -> QuerySet[Analysis]:
    """What a person has read, without the results. For nobody in particular: nothing."""
    own = Analysis.objects.filter(author=author.pk) if author.is_authenticated else Analysis.objects.none()
    return own.select_related("experiment").defer("result", "experiment__config", "experiment__quality")


def readable_experiments() -> QuerySet[Experiment]:
    """The experiments through which a prompt can be read, newest first."""
    return Experiment.objects.filter(status=Experiment.Status.FINISHED).defer("config", "quality")


def readable_experiment(experiment_id: int) -> Experiment:
    """A finished experiment. Raises `NotFound`, or `Conflict` when it has no SAE to read with."""
    try:
        experiment = Experiment.objects.get(pk=experiment_id)
    except (Experiment.DoesNotExist, OverflowError):
        raise NotFound("There is no such experiment.", {"experiment": "There is no such experiment."}) from None
    if not experiment.has_features:
        sentence = f"A prompt can be read when the experiment has finished; this one is {experiment.status}."
        raise Conflict(sentence, {"experiment": sentence})
    return experiment


def clean_prompt(text: str) -> str:
    """`text` with one kind of line end, and otherwise untouched: every blank is a token. Raises `Refused`."""
    if not clean_text(text, field="text", maximum=TEXT_MAXIMUM):
        raise refused_field("text", "The prompt is empty: type some text to read.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _tell_workers(analysis_id: UUID) -> None:
    transaction.on_commit(partial(read_prompt.apply_async, (str(analysis_id),), retry=False), robust=True)
