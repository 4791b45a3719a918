"""The pages that explain the metrics."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from experiments.metric_explanations import EXPLANATIONS, GROUPS


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics, in groups."""
    return render(request, "experiments/metrics.html", {"nav": "experiments", "groups": GROUPS})


@require_GET
def metric(request: HttpRequest, name: str) -> HttpResponse:
    """One metric: meaning, formula, tokens, what good looks like, how other tools differ."""
    if name not in EXPLANATIONS:
        raise Http404
    return render(request, "experiments/metric.html", {"nav": "experiments", "metric": EXPLANATIONS[name]})
