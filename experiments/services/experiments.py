"""What people do with experiments: create, cancel, pause, resume, delete."""

from __future__ import annotations

import shutil

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from experiments.engine.config import as_json
from experiments.models import Experiment, Sweep
from experiments.services.configurations import Configuration, ExperimentRequest, configure
from experiments.services.estimates import refuse_what_does_not_fit
from experiments.services.folders import experiment_folder
from experiments.services.queue import announce, enqueue
from latentlens.lib.problems import Conflict, NotFound

Status = Experiment.Status
RESUMABLE = (Status.PAUSED, Status.FAILED)
HARVESTABLE = (Status.FINISHED, Status.CANCELLED)


def create_experiment(request: ExperimentRequest) -> Experiment:
    """Checks the request, stores the experiment and queues it. Raises Refused with a sentence for each wrong field."""
    experiment = store_experiment(request, Status.QUEUED)
    enqueue(experiment.pk)
    return experiment


def store_experiment(request: ExperimentRequest, status: str, *, is_demo: bool = False) -> Experiment:
    """The row of a new experiment. `paused` keeps it away from the workers, for whoever will claim it right after."""
    configuration = configure(request)
    refuse_what_does_not_fit(configuration.config, configuration.card)
    return store_configuration(configuration, status, is_demo=is_demo)


def store_configuration(
    configuration: Configuration, status: str, *, is_demo: bool = False, sweep: Sweep | None = None
) -> Experiment:
    """The row of a checked configuration."""
    config = configuration.config
    return Experiment.objects.create(
        name=configuration.name,
        model=config.model.canonical,
        layer=config.layer,
        site=config.site,
        corpus=configuration.corpus,
        architecture=config.sae.architecture,
        n_features=config.sae.n_features,
        k=config.sae.k,
        training_tokens=0 if config.imported else config.training.tokens,
        seed=config.seed,
        config=as_json(config),
        status=status,
        steps=0 if config.imported else config.training.steps,
        is_demo=is_demo,
        sweep=sweep,
    )


def experiment_by_id(experiment_id: int) -> Experiment:
    """The experiment with its corpus. Raises NotFound."""
    experiment = Experiment.objects.select_related("corpus").filter(pk=experiment_id).first()
    if experiment is None:
        raise NotFound(f"There is no experiment {experiment_id}.")
    return experiment


def cancel_experiment(experiment_id: int) -> Experiment:
    """Ends an experiment for good. A running one ends between two steps; raises Conflict for one that has ended."""
    unheld = _without_worker(Status.QUEUED, Status.PAUSED)
    ended = _change(experiment_id, unheld, status=Status.CANCELLED, finished_at=timezone.now())
    if not ended and not _change(experiment_id, Q(status=Status.RUNNING), cancel_requested=True):
        raise _cannot(experiment_id, "cancelled")
    return experiment_by_id(experiment_id)


def pause_experiment(experiment_id: int) -> Experiment:
    """Stops an experiment so that it can go on later. A running one saves a checkpoint first."""
    paused = _change(experiment_id, _without_worker(Status.QUEUED), status=Status.PAUSED)
    if not paused and not _change(experiment_id, Q(status=Status.RUNNING), pause_requested=True):
        raise _cannot(experiment_id, "paused")
    return experiment_by_id(experiment_id)


def resume_experiment(experiment_id: int) -> Experiment:
    """Queues a paused or failed experiment again; it goes on from its last checkpoint."""
    resumed = _change(
        experiment_id, Q(status__in=RESUMABLE), status=Status.QUEUED, attempts=0, error="", finished_at=None
    )
    if not resumed:
        raise _cannot(experiment_id, "resumed")
    enqueue(experiment_id)
    return experiment_by_id(experiment_id)


def harvest_again(experiment_id: int) -> Experiment:
    """Queues the harvest of a trained and evaluated experiment once more; its labels stay."""
    trained = Q(status__in=HARVESTABLE) & ~Q(weights_sha256="") & ~Q(quality={})
    changes = {"status": Status.QUEUED, "stage": Experiment.Stage.HARVEST, "attempts": 0, "finished_at": None}
    if not _change(experiment_id, trained, **changes):
        raise _cannot(experiment_id, "harvested again")
    enqueue(experiment_id)
    return experiment_by_id(experiment_id)


def delete_experiment(experiment_id: int) -> None:
    """Removes an experiment with all its files, features and labels. Raises Conflict while a worker writes to it."""
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update().filter(pk=experiment_id).first()
        if experiment is None:
            raise NotFound(f"There is no experiment {experiment_id}.")
        if experiment.is_held and experiment.status == Status.FINISHED:
            raise Conflict(f"This experiment is being evaluated again ({experiment.holder}): delete it after that.")
        if experiment.is_held:
            raise Conflict("A running experiment cannot be deleted: cancel it first.")
        experiment.delete()
        folder = experiment_folder(experiment_id).path
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def newest_first() -> QuerySet[Experiment]:
    """Experiments with what a list shows of them."""
    return Experiment.objects.select_related("corpus")


def _without_worker(*statuses: str) -> Q:
    """In one of `statuses`, or running with a lease that ran out, so that nobody would read a request."""
    return Q(status__in=statuses) | Q(status=Status.RUNNING, lease_until__lt=timezone.now())


def _change(experiment_id: int, state: Q, **changes: object) -> bool:
    """One conditional UPDATE; an experiment that leaves the hands of a worker has neither owner nor lease."""
    if "status" in changes:
        changes |= {"owner": "", "lease_until": None, "cancel_requested": False, "pause_requested": False}
        changes |= {"seconds_left": None, "tokens_per_second": None}
    changed = Experiment.objects.filter(state, pk=experiment_id).update(sequence=F("sequence") + 1, **changes)
    if changed:
        announce(experiment_id)
    return bool(changed)


def _cannot(experiment_id: int, verb: str) -> Conflict:
    experiment = experiment_by_id(experiment_id)
    return Conflict(f"This experiment is {experiment.get_status_display().lower()} and cannot be {verb}.")
