"""The API of sweeps; each operation calls the service that the page calls."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from experiments import schemas
from experiments.services import sweeps as service
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.paging import Ordering, page_of, parse_limit

router = Router(tags=["sweeps"])
NEWEST_FIRST = Ordering("pk", descending=True)


@router.post("", response={201: schemas.SweepOut, **REFUSALS}, operation_id="create_sweep")
def create_sweep(request: HttpRequest, response: HttpResponse, wanted: schemas.SweepIn) -> Any:
    """Makes an experiment of every combination of the listed values, and queues them; they share one capture pass."""
    sweep = service.create_sweep(service.request_of(wanted.model_dump()))
    response["Location"] = f"/api/sweeps/{sweep.pk}"
    return Status(201, sweep)


@router.get("", response={200: schemas.SweepPage, **REFUSALS}, operation_id="list_sweeps")
def list_sweeps(request: HttpRequest, limit: str | None = None, cursor: str | None = None) -> Any:
    """Sweeps, newest first; `next` is the cursor of the following page."""
    rows = service.sweeps_with_counts().prefetch_related("experiments")
    return page_of(rows, NEWEST_FIRST, limit=parse_limit(limit), cursor=cursor)


@router.get("/{sweep_id}", response={200: schemas.SweepOut, **REFUSALS}, operation_id="get_sweep")
def get_sweep(request: HttpRequest, sweep_id: int) -> Any:
    """One sweep with the ids of its experiments."""
    return service.sweep_by_id(sweep_id)


@router.post("/{sweep_id}/cancel", response={200: schemas.SweepOut, **REFUSALS}, operation_id="cancel_sweep")
def cancel_sweep(request: HttpRequest, sweep_id: int) -> Any:
    """Ends every experiment of it that has not ended, for good."""
    return service.cancel_sweep(sweep_id)


@router.post("/{sweep_id}/pause", response={200: schemas.SweepOut, **REFUSALS}, operation_id="pause_sweep")
def pause_sweep(request: HttpRequest, sweep_id: int) -> Any:
    """Stops its experiments that wait or run, each at a checkpoint."""
    return service.pause_sweep(sweep_id)


@router.post("/{sweep_id}/resume", response={200: schemas.SweepOut, **REFUSALS}, operation_id="resume_sweep")
def resume_sweep(request: HttpRequest, sweep_id: int) -> Any:
    """Queues its paused and failed experiments again; those that are not trained yet go on side by side."""
    return service.resume_sweep(sweep_id)
