"""The search page: a query, how much it finds, and the matches as heat maps. The address is the search."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from experiments.models import Experiment
from features.models import Feature
from features.queries.search import FORMATS
from features.services import searches
from features.views import HtmxRequest
from latentlens.lib.downloads import download
from latentlens.lib.problems import Problem

MATCHES = 20
EXAMPLES = (
    ("fires(12)", "feature 12 is active"),
    ("fires(12) and not fires(90)", "one is active and the other is not"),
    ('token = " Monday"', "exactly this token: blanks and case count"),
    ('token ~ "bank" and next ~ "of"', "parts of this token and of the next, whatever their case"),
    ("activation(12) > 3 within 5 tokens of fires(7)", "strong, and near another feature"),
    ('kind = "letter" and offset < 10', "the beginning of windows in letters (built-in corpus)"),
)


@require_GET
def search(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    context: dict[str, Any] = {"nav": "features", "experiment": experiment}
    if not experiment.has_features:
        return render(request, "features/unfinished.html", context)
    query, cursor = request.GET.get("query", "").strip(), request.GET.get("cursor")
    context |= {"query": query, "cursor": cursor, "examples": EXAMPLES, "formats": FORMATS}
    if query:
        context |= _results(experiment, query, cursor)
    problem = context.get("problem")
    response = render(request, _template(request), context, status=problem.status if problem else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_GET
def export(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    """Every match as a file; what cannot be exported is a sentence on the page."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    query = request.GET.get("query", "").strip()
    try:
        made = searches.export(experiment, query, request.GET.get("format", "csv"))
    except Problem as problem:
        context = {"nav": "features", "experiment": experiment, "query": query, "examples": EXAMPLES}
        return render(request, "features/search.html", context | {"problem": problem}, status=problem.status)
    return download(request, made.file, made.filename, made.media_type)


def _template(request: HtmxRequest) -> str:
    """The whole page; only the results for another query; only more rows when there are more."""
    if not request.htmx or request.htmx.history_restore_request:
        return "features/search.html"
    return "features/_match_rows.html" if "cursor" in request.GET else "features/_search_results.html"


def _results(experiment: Experiment, query: str, cursor: str | None) -> dict[str, Any]:
    try:
        found = searches.search(experiment, query, limit=MATCHES, cursor=cursor)
    except Problem as problem:
        return {"problem": problem}
    page = found.page
    coloured = None
    if page.coloured is not None:
        coloured = Feature.objects.filter(experiment=experiment, index=page.coloured).first()
    shown = [token.activation for match in page.items for token in match.tokens]
    return {
        "found": found,
        "page": page,
        "coloured": coloured,
        "strongest": coloured.max_activation if coloured else max(shown, default=0.0),
        "state": urlencode({"query": query}),
    }
