"""The map: its page, the table of its points, and the card of one of them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_http_methods

from experiments.models import Experiment
from features.models import Feature, FeatureMap
from features.services import feature_map
from features.services.evidence import concept_titles
from features.services.feature_map.listing import ORDERINGS, MapQuery, PointPage, list_points
from features.services.gallery import current_labels
from features.views import HtmxRequest
from latentlens.lib.problems import Conflict, Problem, Refused

ROWS = 25


@require_http_methods(["GET", "POST"])
def page(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    """The map of a method; POST makes it again. The first visit makes the one by PCA, which takes seconds."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if not experiment.has_features:
        return render(request, "features/unfinished.html", {"nav": "features", "experiment": experiment})
    if request.method == "POST":
        return _make(request, experiment)
    selection = request.GET.get("within", "")
    method = request.GET.get("method") or selection.partition(".")[0] or FeatureMap.Method.PCA
    maps = feature_map.maps_of(experiment)
    if method not in FeatureMap.Method.values:
        messages.error(request, f"The method must be one of {', '.join(FeatureMap.Method.values)}.")
        return redirect("features:map", experiment.pk)
    row = maps.get(method)
    if row is None and method == FeatureMap.Method.PCA:
        row = feature_map.request_map(experiment, method)
    context: dict[str, Any] = {
        "nav": "features",
        "experiment": experiment,
        "methods": FeatureMap.Method.choices,
        "method": method,
        "method_title": FeatureMap.Method(method).label,
        "map": row,
        "orderings": ORDERINGS,
        "concepts": concept_titles(experiment),
    }
    if row is not None and row.is_finished:
        context |= _points(request, row)
    response = render(request, _template(request), context, status=422 if context.get("problem") else 200)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def _template(request: HtmxRequest) -> str:
    """The whole page; or the table when it is ordered or narrowed, or how far the map is."""
    if request.htmx and not request.htmx.history_restore_request and request.htmx.target == "map-table":
        return "features/_map_table.html"
    return "features/map.html"


def _make(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    method = request.POST.get("method", FeatureMap.Method.PCA)
    try:
        feature_map.request_map(experiment, method)
    except (Refused, Conflict) as problem:
        messages.error(request, problem.message)
        return redirect("features:map", experiment.pk)
    return redirect(f"{reverse('features:map', args=[experiment.pk])}?method={method}")


def _points(request: HttpRequest, row: FeatureMap) -> dict[str, Any]:
    """One page of the table as the address says, or the sentence that says why there is none."""
    state = request.GET.copy()
    cursor = state.pop("cursor", [None])[-1]
    context: dict[str, Any] = {"state": state.urlencode(), "cursor": cursor, "points": PointPage([])}
    typed = {name: request.GET.get(name, "") for name in ("ordering", "near", "within")}
    try:
        query = MapQuery.parse(typed["ordering"], typed["near"], typed["within"])
        points = list_points(row, query, limit=ROWS, cursor=cursor)
    except Problem as problem:
        return context | {"problem": problem.message, "is_lost": isinstance(problem, Conflict), "typed": typed}
    return context | {"points": points, "query": query, "typed": typed | {"ordering": query.ordering}}


@require_GET
def card(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    """What the gallery shows of a feature, for htmx; anybody else is sent to the feature's page."""
    if not request.htmx:
        return redirect("features:detail", experiment_id, index)
    features = Feature.objects.defer("summary").select_related("experiment").prefetch_related(current_labels())
    feature = get_object_or_404(features, experiment=experiment_id, index=index)
    context = {"feature": feature, "concepts": concept_titles(feature.experiment)}
    return render(request, "features/_map_card.html", context)
