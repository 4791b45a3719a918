"""The feature page and the parts of it that have an address. A view reads the request, calls one service, renders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from features.activation_index import ExamplePage
from features.forms import LabelForm
from features.models import Feature
from features.services.evidence import Evidence, evidence_of
from features.services.evidence_files import evidence_file
from features.services.firing_evidence import FiringEvidence, IndexMissing
from features.views import HtmxRequest
from latentlens.lib.downloads import download
from latentlens.lib.problems import NotFound, Problem

RefusedForms = dict[int | None, LabelForm]  # by the label that was edited; None: a new one
NEAR = (0, 2, 8)  # how far from a firing co-firing features are looked for, to choose from


@require_GET
def detail(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    return feature_page(request, experiment_id, index, {})


@require_GET
def examples(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    """More examples for htmx; anybody else is sent to the page that shows the same ones."""
    if not request.htmx:
        return redirect(f"{reverse('features:detail', args=[experiment_id, index])}?{request.GET.urlencode()}")
    feature = get_object_or_404(Feature.objects.defer("summary", "card"), experiment=experiment_id, index=index)
    return render(
        request, "features/_example_rows.html", {"feature": feature, **_examples(request, FiringEvidence(feature))}
    )


@require_GET
def strata(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    def found(evidence: FiringEvidence) -> dict[str, Any]:
        return {"strata": evidence.strata(request.GET.get("seed", 0))}

    return _section(request, experiment_id, index, "strata", found)


@require_GET
def near_misses(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    def found(evidence: FiringEvidence) -> dict[str, Any]:
        return {"near_misses": evidence.near_misses(request.GET.get("seed", 0))}

    return _section(request, experiment_id, index, "near_misses", found)


@require_GET
def co_firing(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    def found(evidence: FiringEvidence) -> dict[str, Any]:
        return {"together": evidence.co_firing(request.GET.get("within", 0)), "distances": NEAR}

    return _section(request, experiment_id, index, "co_firing", found)


@require_GET
def window(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    def found(evidence: FiringEvidence) -> dict[str, Any]:
        bins = evidence.window()
        return {"window": bins, "densest": max((part.density for part in bins), default=0.0)}

    return _section(request, experiment_id, index, "window", found)


@require_GET
def document(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    def found(evidence: FiringEvidence) -> dict[str, Any]:
        return {"found": evidence.document(request.GET.get("position", ""))}

    return _section(request, experiment_id, index, "document", found)


@require_GET
def evidence(request: HttpRequest, experiment_id: int, index: int) -> HttpResponseBase:
    """Everything that the page shows, as a file; what cannot be read is a sentence on a page."""
    feature = get_object_or_404(Feature.objects.select_related("experiment"), experiment=experiment_id, index=index)
    try:
        made = evidence_file(experiment_id, index, request.GET.get("format", "json"))
    except Problem as problem:
        context = {"nav": "features", "experiment": feature.experiment, "feature": feature}
        context |= {"part": "features/_part_problem.html", **_problem(problem)}
        return render(request, "features/evidence_part.html", context, status=problem.status)
    return download(request, made.file, made.filename, made.media_type)


def _section(
    request: HtmxRequest,
    experiment_id: int,
    index: int,
    name: str,
    found: Callable[[FiringEvidence], dict[str, Any]],
) -> HttpResponse:
    """One part of the evidence: by itself for htmx, else as a page. What cannot be shown is a sentence in its place."""
    features = Feature.objects.select_related("experiment").defer("summary", "card")
    feature = get_object_or_404(features, experiment=experiment_id, index=index)
    part = f"features/_{name}.html"
    context = {"nav": "features", "experiment": feature.experiment, "feature": feature, "part": part}
    status = 200
    try:
        context |= found(FiringEvidence(feature))
    except Problem as problem:
        context |= _problem(problem)
        status = 200 if request.htmx else problem.status  # htmx shows no other part in the place of this one
    response = render(request, part if request.htmx else "features/evidence_part.html", context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _problem(problem: Problem) -> dict[str, Any]:
    return {"problem": problem.message, "offer_harvest": isinstance(problem, IndexMissing)}


def feature_page(request: HttpRequest, experiment_id: int, index: int, refused: RefusedForms) -> HttpResponse:
    """The whole page; `refused` are forms that could not be saved, which keep what was typed."""
    evidence = evidence_or_404(experiment_id, index)
    context = {
        "nav": "features",
        "experiment": evidence.feature.experiment,
        "feature": evidence.feature,
        "evidence": evidence,
        **label_forms(evidence, refused),
        **_examples(request, FiringEvidence(evidence.feature)),
    }
    return render(request, "features/detail.html", context, status=422 if refused else 200)


def evidence_or_404(experiment_id: int, index: int) -> Evidence:
    """What `evidence_of` gives; a feature that does not exist is a page that is not found."""
    try:
        return evidence_of(experiment_id, index)
    except NotFound as missing:
        raise Http404 from missing


def label_forms(evidence: Evidence, refused: RefusedForms) -> dict[str, Any]:
    """A form for a new label and one for each label there is; the refused one is as it was typed."""
    rows = [{"label": label, "form": refused.get(label.pk) or LabelForm.of(label)} for label in evidence.labels]
    return {"label_rows": rows, "new_label": refused.get(None) or LabelForm()}


def _examples(request: HttpRequest, firing: FiringEvidence) -> dict[str, Any]:
    """The examples that the URL asks for, or the sentence that says why there are none."""
    every_firing = request.GET.get("show") == "firings"
    context: dict[str, Any] = {"examples": ExamplePage(), "every_firing": every_firing}
    try:
        found = firing.examples(request.GET.get("rank") or 1, one_per_document=not every_firing)
    except Problem as problem:
        return context | {"examples_problem": problem.message, "offer_harvest": isinstance(problem, IndexMissing)}
    return context | {"examples": found}
