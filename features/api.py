"""The API of features and labels; each operation calls the service that the page calls."""

from __future__ import annotations

from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest
from ninja import Query, Router, Status

from experiments.models import Experiment
from features import schemas
from features.models import Label
from features.services import labels as label_service
from features.services.evidence import find_feature
from features.services.gallery import current_labels, gallery_page, refuse_unknown_names
from features.services.labels import Author
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.problems import Conflict, NotFound

router = Router(tags=["features"])


@router.get("", response={200: schemas.FeatureList, **REFUSALS}, operation_id="list_features")
def list_features(request: HttpRequest, query: Query[schemas.FeatureQuery]) -> Any:
    """The features of a finished experiment, filtered and ordered; `next` is the cursor of the following page."""
    _require_features(query.experiment)
    refuse_unknown_names(request.GET, schemas.FeatureQuery.model_fields)
    found = gallery_page(query.experiment, query, query.ordering, limit=query.limit, cursor=query.cursor, count=False)
    return found.page


@router.get("/{feature_id}", response={200: schemas.FeatureDetail, **REFUSALS}, operation_id="get_feature")
def get_feature(request: HttpRequest, feature_id: int) -> Any:
    """One feature with its evidence, without its examples."""
    feature = find_feature(pk=feature_id)
    prefetch_related_objects([feature], current_labels())
    return feature


@router.get("/{feature_id}/labels", response={200: schemas.LabelList, **REFUSALS}, operation_id="list_labels")
def list_labels(request: HttpRequest, feature_id: int) -> Any:
    """The labels that have not been withdrawn, newest first."""
    return {"items": list(label_service.living_labels(find_feature(pk=feature_id).pk))}


@router.post("/{feature_id}/labels", response={201: schemas.LabelOut, **REFUSALS}, operation_id="add_label")
def add_label(request: HttpRequest, feature_id: int, content: schemas.LabelIn) -> Status[Label]:
    """Adds a label, which becomes the current one."""
    return Status(201, label_service.add_label(feature_id, _draft(content), Author.of(request)))


@router.get("/{feature_id}/labels/{label_id}", response={200: schemas.LabelOut, **REFUSALS}, operation_id="get_label")
def get_label(request: HttpRequest, feature_id: int, label_id: int) -> Label:
    return label_service.find_label(feature_id, label_id)


@router.put("/{feature_id}/labels/{label_id}", response={200: schemas.LabelOut, **REFUSALS}, operation_id="edit_label")
def edit_label(request: HttpRequest, feature_id: int, label_id: int, content: schemas.LabelEdit) -> Label:
    """Gives a label another content; with a `version` that is no longer the newest it is a 409, and nothing changes."""
    author = Author.of(request)
    return label_service.edit_label(feature_id, label_id, _draft(content), author, version=content.version)


@router.delete("/{feature_id}/labels/{label_id}", response={204: None, **REFUSALS}, operation_id="withdraw_label")
def withdraw_label(request: HttpRequest, feature_id: int, label_id: int) -> Status[None]:
    """Takes a label back; of the others a person's newest becomes the current one, else a machine's."""
    label_service.withdraw_label(feature_id, label_id, Author.of(request))
    return Status(204, None)


@router.post(
    "/{feature_id}/labels/{label_id}/restore",
    response={200: schemas.LabelOut, **REFUSALS},
    operation_id="restore_label",
)
def restore_label(request: HttpRequest, feature_id: int, label_id: int) -> Label:
    """Brings a withdrawn label back."""
    return label_service.restore_label(feature_id, label_id, Author.of(request))


@router.post(
    "/{feature_id}/labels/{label_id}/choose", response={200: schemas.LabelOut, **REFUSALS}, operation_id="choose_label"
)
def choose_label(request: HttpRequest, feature_id: int, label_id: int) -> Label:
    """Makes a label the current one of its feature."""
    return label_service.choose_label(feature_id, label_id, Author.of(request))


@router.get(
    "/{feature_id}/labels/{label_id}/history",
    response={200: schemas.LabelHistory, **REFUSALS},
    operation_id="list_label_history",
)
def list_label_history(request: HttpRequest, feature_id: int, label_id: int) -> Any:
    """Every change of a label, newest first."""
    return {"items": label_service.history_of(feature_id, label_id)}


def _draft(content: schemas.LabelIn) -> label_service.LabelDraft:
    return label_service.LabelDraft.of(content.text, content.note, content.tags, content.confidence)


def _require_features(experiment_id: int) -> None:
    experiment = Experiment.objects.filter(pk=experiment_id).first()
    if experiment is None:
        raise NotFound("There is no such experiment.")
    if not experiment.has_features:
        raise Conflict(f"This experiment has no features to list: it is {experiment.status}.")
