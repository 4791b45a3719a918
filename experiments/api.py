"""The API of experiments and corpora; each operation calls the service that the page calls."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import File, Form, Router, Status, UploadedFile

from experiments import schemas
from experiments.models import Corpus
from experiments.services import caches, corpora, events, previews
from experiments.services import experiments as service
from experiments.services.configurations import ExperimentRequest
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.numbers import parse_integer
from latentlens.lib.paging import Ordering, page_of, parse_limit

router = Router(tags=["experiments"])
corpora_router = Router(tags=["corpora"])
cache_router = Router(tags=["cache"])
NEWEST_FIRST = Ordering("pk", descending=True)


@router.post("", response={201: schemas.ExperimentOut, **REFUSALS}, operation_id="create_experiment")
def create_experiment(request: HttpRequest, response: HttpResponse, wanted: schemas.ExperimentIn) -> Any:
    """Checks and queues an experiment; a worker takes it from there."""
    experiment = service.create_experiment(ExperimentRequest(**wanted.model_dump()))
    response["Location"] = f"/api/experiments/{experiment.pk}"
    return Status(201, experiment)


@router.get("", response={200: schemas.ExperimentPage, **REFUSALS}, operation_id="list_experiments")
def list_experiments(
    request: HttpRequest, limit: str | None = None, cursor: str | None = None, status: schemas.Status | None = None
) -> Any:
    """Experiments, newest first; `next` is the cursor of the following page."""
    rows = service.newest_first().filter(**({"status": status} if status else {}))
    return page_of(rows, NEWEST_FIRST, limit=parse_limit(limit), cursor=cursor)


@router.get("/{experiment_id}", response={200: schemas.ExperimentOut, **REFUSALS}, operation_id="get_experiment")
def get_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """One experiment: status, stage, progress, configuration, quality."""
    return service.experiment_by_id(experiment_id)


@router.get("/{experiment_id}/metrics", response={200: schemas.MetricList, **REFUSALS}, operation_id="list_metrics")
def list_metrics(request: HttpRequest, experiment_id: int, since: str = "0") -> Any:
    """The metrics after event number `since`, in order."""
    after = parse_integer(since, field="since", minimum=0, maximum=events.LARGEST_SEQUENCE)
    service.experiment_by_id(experiment_id)
    found = list(events.metrics_since(experiment_id, after)[: events.MOST_METRICS + 1])
    items = found[: events.MOST_METRICS]
    return {"items": items, "next": items[-1].sequence if len(found) > len(items) else None}


@router.post("/{experiment_id}/cancel", response={200: schemas.ExperimentOut, **REFUSALS}, operation_id="cancel")
def cancel_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """Ends it for good; a running one ends between two steps."""
    return service.cancel_experiment(experiment_id)


@router.post("/{experiment_id}/pause", response={200: schemas.ExperimentOut, **REFUSALS}, operation_id="pause")
def pause_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """Stops it at a checkpoint, from which `resume` goes on."""
    return service.pause_experiment(experiment_id)


@router.post("/{experiment_id}/resume", response={200: schemas.ExperimentOut, **REFUSALS}, operation_id="resume")
def resume_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """Queues a paused or failed experiment again."""
    return service.resume_experiment(experiment_id)


@router.post("/{experiment_id}/harvest", response={200: schemas.ExperimentOut, **REFUSALS}, operation_id="harvest")
def harvest_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """Queues the harvest of a trained one again, for an activation index that is missing or damaged; labels stay."""
    return service.harvest_again(experiment_id)


@router.delete("/{experiment_id}", response={204: None, **REFUSALS}, operation_id="delete_experiment")
def delete_experiment(request: HttpRequest, experiment_id: int) -> Any:
    """Removes it with its files, features and labels; refused while it runs."""
    service.delete_experiment(experiment_id)
    return Status(204, None)


@corpora_router.post("", response={201: schemas.CorpusOut, **REFUSALS}, operation_id="add_corpus")
def add_corpus(
    request: HttpRequest,
    file: File[UploadedFile],
    name: Form[str] = "",
    column: Form[str] = "",
    chat: Form[bool] = False,
) -> Any:
    """Uploads a text: .txt, .jsonl, .csv or .parquet, also packed as .gz; `column` says where a table keeps it.

    With `chat` the column holds conversations: lists of messages with role and content.
    """
    return Status(201, corpora.add_upload(file, name, column, chat=chat))


@corpora_router.post("/hub", response={201: schemas.CorpusOut, **REFUSALS}, operation_id="add_hub_corpus")
def add_hub_corpus(request: HttpRequest, wanted: schemas.HubCorpusIn) -> Any:
    """Names a data set on the hub as a corpus; it is read when an experiment needs it."""
    return Status(201, corpora.add_hub_corpus(**wanted.dict()))


@corpora_router.post(
    "/{corpus_id}/preview",
    response={200: schemas.PreviewOut, 202: schemas.PreviewOut, **REFUSALS},
    operation_id="preview_corpus",
)
def preview_corpus(request: HttpRequest, corpus_id: int, wanted: schemas.PreviewIn) -> Any:
    """The first windows of a corpus as tokens. 202 while a worker reads it; ask again for the answer."""
    made = previews.ask_for_preview(previews.request_of(wanted.model_dump() | {"corpus": corpus_id}))
    return Status(202 if made.is_awaited else 200, made)


@corpora_router.get("", response={200: schemas.CorpusPage, **REFUSALS}, operation_id="list_corpora")
def list_corpora(request: HttpRequest, limit: str | None = None, cursor: str | None = None) -> Any:
    """Corpora, newest first."""
    return page_of(Corpus.objects.all(), NEWEST_FIRST, limit=parse_limit(limit), cursor=cursor)


@cache_router.get("", response={200: schemas.CacheOut, **REFUSALS}, operation_id="list_cache")
def list_cache(request: HttpRequest) -> Any:
    """Hidden states and token windows that experiments share: size, who used them, when."""
    return caches.cache_state()


@cache_router.delete("/{key}", response={204: None, **REFUSALS}, operation_id="delete_cache_entry")
def delete_cache_entry(request: HttpRequest, key: str) -> Any:
    """Frees the disk that an entry takes; what is needed again is made again. Refused while it is in use."""
    caches.delete_entry(key)
    return Status(204, None)
