"""The API of the evidence for one feature; each operation calls the service that the page calls."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from features import evidence_schemas as schemas
from features.services.evidence import find_feature
from features.services.evidence_files import evidence_file
from features.services.firing_evidence import FiringEvidence
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.downloads import download

router = Router(tags=["features"])


@router.get("/{feature_id}/examples", response={200: schemas.ExampleList, **REFUSALS}, operation_id="list_examples")
def list_examples(request: HttpRequest, feature_id: int, query: Query[schemas.ExampleQuery]) -> Any:
    """Where it fires, strongest first, each with the tokens around it and the activation on each of them."""
    page = _evidence(feature_id).examples(
        query.cursor or 1, query.limit, one_per_document=query.show == "documents", rank_field="cursor"
    )
    return {"items": page.items, "next": page.next_rank and str(page.next_rank), "total": page.total}


@router.get("/{feature_id}/strata", response={200: schemas.StratumList, **REFUSALS}, operation_id="list_strata")
def list_strata(request: HttpRequest, feature_id: int, query: Query[schemas.StrataQuery]) -> Any:
    """The firings cut at quantiles of their activation into parts of equally many, each with some of them."""
    return _evidence(feature_id).strata(query.seed, query.count)


@router.get(
    "/{feature_id}/near-misses", response={200: schemas.NearMissList, **REFUSALS}, operation_id="list_near_misses"
)
def list_near_misses(request: HttpRequest, feature_id: int, query: Query[schemas.NearMissQuery]) -> Any:
    """Tokens like those that it fires on, on which it is silent."""
    return _evidence(feature_id).near_misses(query.seed, query.count)


@router.get("/{feature_id}/co-firing", response={200: schemas.CoFiringList, **REFUSALS}, operation_id="list_co_firing")
def list_co_firing(request: HttpRequest, feature_id: int, query: Query[schemas.CoFiringQuery]) -> Any:
    """The features of the whole SAE that fire with it most, by Jaccard."""
    found = _evidence(feature_id).co_firing(query.within, query.count)
    items = [asdict(row.counted) | {"label": row.label} for row in found.items]
    return {"within": found.within, "tokens_near": found.tokens_near, "items": items}


@router.get("/{feature_id}/tokens", response={200: schemas.TokenUseList, **REFUSALS}, operation_id="list_tokens")
def list_tokens(request: HttpRequest, feature_id: int, query: Query[schemas.TokenQuery]) -> Any:
    """The tokens on which it fires most often, with precision and recall."""
    return {"items": _evidence(feature_id).tokens(query.count)}


@router.get("/{feature_id}/window", response={200: schemas.WindowBinList, **REFUSALS}, operation_id="list_window_bins")
def list_window_bins(request: HttpRequest, feature_id: int) -> Any:
    """How often it fires at the beginning of a window, and so on to the end."""
    return {"items": _evidence(feature_id).window()}


@router.get("/{feature_id}/document", response={200: schemas.DocumentOut, **REFUSALS}, operation_id="get_document")
def get_document(request: HttpRequest, feature_id: int, query: Query[schemas.DocumentQuery]) -> Any:
    """The document around a position of the harvested text, with its activation on every token."""
    return _evidence(feature_id).document(query.position).passage


@router.get("/{feature_id}/evidence", response={200: None, **REFUSALS}, operation_id="download_evidence")
def download_evidence(request: HttpRequest, feature_id: int, query: Query[schemas.EvidenceQuery]) -> Any:
    """Everything that its page shows, as one file."""
    feature = find_feature(pk=feature_id)
    made = evidence_file(feature.experiment_id, feature.index, query.format)
    return download(request, made.file, made.filename, made.media_type)


def _evidence(feature_id: int) -> FiringEvidence:
    return FiringEvidence(find_feature(pk=feature_id))
