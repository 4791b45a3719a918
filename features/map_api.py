"""The API of maps: asked for, watched, and read as one compact message or as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from ninja import Field, Router, Schema, Status

from experiments.models import Experiment
from features.models import FeatureMap
from features.services import feature_map
from features.services.feature_map.columns import columns_of, version_of
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.problems import NotFound

router = Router(tags=["maps"])


class MapIn(Schema):
    experiment: int
    method: Literal["pca", "umap", "tsne"] = Field("pca", description="UMAP and t-SNE need the extra `map`.")


class MapOut(Schema):
    id: int
    experiment: int
    method: str
    status: str = Field(description="queued, running, finished or failed.")
    stage: str
    done: int
    total: int
    variance_shares: tuple[float, float] | None = Field(description="PCA: the variance along x and along y.")
    error: str
    created_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_experiment(row: FeatureMap) -> int:
        return row.experiment_id


class MapList(Schema):
    items: list[MapOut]
    next: None = None


@router.get("", response={200: MapList, **REFUSALS}, operation_id="list_maps")
def list_maps(request: HttpRequest, experiment: int) -> Any:
    """The maps of an experiment that have been asked for."""
    return {"items": list(feature_map.maps_of(_experiment(experiment)).values())}


@router.post("", response={202: MapOut, **REFUSALS}, operation_id="make_map")
def make_map(request: HttpRequest, wanted: MapIn) -> Status[FeatureMap]:
    """Lets a worker place the features of an experiment; one that is there is made again."""
    return Status(202, feature_map.request_map(_experiment(wanted.experiment), wanted.method))


@router.get("/{map_id}", response={200: MapOut, **REFUSALS}, operation_id="get_map")
def get_map(request: HttpRequest, map_id: int) -> FeatureMap:
    return feature_map.find_map(map_id)


@router.get("/{map_id}/positions", response={200: None, 304: None, **REFUSALS}, operation_id="get_map_positions")
def get_map_positions(request: HttpRequest, map_id: int, format: Literal["binary", "json"] = "binary") -> Any:
    """All points with density, label, tags and concept: a binary message (docs/map.md), or index, x and y as JSON."""
    row = feature_map.find_map(map_id)
    etag = f'"{version_of(row)}-{format}"'
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    columns = columns_of(row)
    response: HttpResponse | StreamingHttpResponse
    if format == "json":
        lists = {name: getattr(columns, name).tolist() for name in ("index", "x", "y")}
        response = HttpResponse(MapPositions(**lists).model_dump_json(), content_type="application/json")
    else:
        response = HttpResponse(b"".join(columns.message()), content_type="application/octet-stream")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


class MapPositions(Schema):
    """The points as JSON, each list [N]."""

    index: list[int]
    x: list[int]
    y: list[int]


def _experiment(experiment_id: int) -> Experiment:
    experiment = Experiment.objects.filter(pk=experiment_id).first()
    if experiment is None:
        raise NotFound("There is no such experiment.")
    return experiment
