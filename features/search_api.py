"""The API of searches in the harvested text; the same service as the page."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from experiments.models import Experiment
from features.schemas import ExampleToken, PageQuery
from features.services import searches
from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.downloads import download
from latentlens.lib.problems import NotFound

router = Router(tags=["search"])


class SearchQuery(PageQuery):
    experiment: int
    query: str = Field(description='See docs/query-language.md: `fires(12) and token ~ "bank"`.')
    limit: int = Field(20, ge=1, le=100)


class ExportQuery(Schema):
    experiment: int
    query: str
    format: Literal["csv", "jsonl", "parquet"] = "jsonl"


class MatchOut(Schema):
    position: int = Field(description="Where in the harvested text the token stands.")
    document: int
    kind: str | None
    token: str
    activation: float = Field(description="Of the feature `coloured` on this token.")
    tokens: list[ExampleToken] = Field(description="The token and those around it.")


class MatchList(Schema):
    items: list[MatchOut] = Field(description="By falling activation of `coloured`, then in the order of the text.")
    next: str | None
    total: int = Field(description="Tokens that satisfy the query.")
    documents: int = Field(description="Documents in which they are.")
    coloured: int | None = Field(description="The first feature that the query names.")


@router.get("", response={200: MatchList, **REFUSALS}, operation_id="search_text")
def search_text(request: HttpRequest, query: Query[SearchQuery]) -> Any:
    """The tokens that satisfy a query, each with its context."""
    found = searches.search(_experiment(query.experiment), query.query, limit=query.limit, cursor=query.cursor)
    page = found.page
    return {
        "items": page.items,
        "next": found.next,
        "total": page.total,
        "documents": page.documents,
        "coloured": page.coloured,
    }


@router.get("/export", response={200: None, **REFUSALS}, operation_id="export_search")
def export_search(request: HttpRequest, query: Query[ExportQuery]) -> Any:
    """A file with a row for every match: its place, its token, and the activations of the features in the query."""
    made = searches.export(_experiment(query.experiment), query.query, query.format)
    return download(request, made.file, made.filename, made.media_type)


def _experiment(experiment_id: int) -> Experiment:
    experiment = Experiment.objects.filter(pk=experiment_id).first()
    if experiment is None:
        raise NotFound("There is no such experiment.")
    return experiment
