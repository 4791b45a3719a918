"""Maps of an experiment's features: asked for, and made by a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import FeatureMap
from features.services.feature_map.positions import write_positions
from features.tasks import make_feature_map
from latentlens.lib.problems import Conflict, NotFound, refused_field

if TYPE_CHECKING:
    from experiments.engine.feature_map import MadeMap, MapProgress

SECONDS_BETWEEN_REPORTS = 0.5
Status = FeatureMap.Status


def maps_of(experiment: Experiment) -> dict[str, FeatureMap]:
    """The maps that have been asked for, by method."""
    return {row.method: row for row in experiment.feature_maps.all()}


def find_map(map_id: int) -> FeatureMap:
    """Raises `NotFound`."""
    row = FeatureMap.objects.select_related("experiment").filter(pk=map_id).first()
    if row is None:
        raise NotFound("There is no such map.")
    return row


def map_of(experiment: Experiment, method: str) -> FeatureMap:
    """The map of a method; one that nobody has asked for yet is asked for now. Raises `Conflict` and `Refused`."""
    row = experiment.feature_maps.filter(method=clean_method(method)).first()
    return row or request_map(experiment, method)


def request_map(experiment: Experiment, method: str) -> FeatureMap:
    """Lets a worker make a map, also again. Raises `Conflict` before there are features, `Refused` for the method.

    One that is being made is left to it; its worker is only told again, in case that has stopped.
    """
    if not experiment.has_features:
        raise Conflict("This experiment has no features yet: there is a map when it has finished.")
    fresh = {"status": Status.QUEUED, "stage": "", "done": 0, "total": 0, "error": "", "finished_at": None}
    row, is_new = FeatureMap.objects.get_or_create(experiment=experiment, method=clean_method(method))
    if not is_new and not row.is_live:
        FeatureMap.objects.filter(pk=row.pk).update(**fresh)
        row.refresh_from_db()
    transaction.on_commit(lambda: make_feature_map.apply_async((row.pk,), retry=False), robust=True)
    return row


def clean_method(method: str) -> str:
    """A method's name. Raises `Refused`."""
    if method not in FeatureMap.Method.values:
        raise refused_field("method", f"The method must be one of {', '.join(FeatureMap.Method.values)}.")
    return method


def make(row: FeatureMap) -> None:
    """Makes the map and keeps it; what goes wrong is a sentence in the row."""
    from experiments.engine.feature_map import MapError, make_map  # noqa: PLC0415 - reads weights, for workers

    living = FeatureMap.objects.filter(pk=row.pk)
    living.update(status=Status.RUNNING)
    folder = experiment_folder(row.experiment_id)
    try:
        made = _watched(row, make_map(folder.weights, row.method))
        write_positions(folder.feature_map(row.method), made.positions)
    except MapError as problem:
        living.update(status=Status.FAILED, error=str(problem), finished_at=timezone.now())
        return
    except Exception:
        sentence = "The map could not be made, and the reason is in the log of the worker: ask for it again."
        living.update(status=Status.FAILED, error=sentence, finished_at=timezone.now())
        raise
    living.update(status=Status.FINISHED, error="", variance_shares=made.variance_shares, finished_at=timezone.now())


def _watched(row: FeatureMap, records: Iterator[MapProgress | MadeMap]) -> MadeMap:
    """The map at the end of the records; how far it is goes into the row, now and then."""
    from experiments.engine.feature_map import MadeMap  # noqa: PLC0415 - reads weights, for workers

    told_at, stage = 0.0, ""
    for record in records:
        if isinstance(record, MadeMap):
            return record
        if record.stage != stage or time.monotonic() - told_at > SECONDS_BETWEEN_REPORTS:
            FeatureMap.objects.filter(pk=row.pk).update(stage=record.stage, done=record.done, total=record.total)
            told_at, stage = time.monotonic(), record.stage
    raise AssertionError("The engine ended without a map.")
