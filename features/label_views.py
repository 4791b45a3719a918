"""What people do with labels on a feature's page. A view reads the request, calls one service, and renders."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from features.activation_index import IndexUnavailable
from features.feature_views import RefusedForms, evidence_or_404, feature_page, label_forms
from features.forms import LabelForm
from features.models import Feature, Label
from features.services import labels as label_service
from features.services.detection_tests import blind_windows, record_test
from features.services.labels import Author, StaleLabel
from features.views import HtmxRequest
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import NotFound, Problem

MAXIMUM_SEED = 2**31


@require_POST
def add_label(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    feature = get_object_or_404(Feature, experiment=experiment_id, index=index)
    form = LabelForm(request.POST)
    if not form.is_valid():
        return _labels(request, feature, {None: form})
    label_service.add_label(feature.pk, form.cleaned_data["draft"], Author.of(request))
    return _labels(request, feature)


@require_POST
def edit_label(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    feature = get_object_or_404(Feature, experiment=experiment_id, index=index)
    form = LabelForm(request.POST, label=label_id)
    if not form.is_valid():
        return _labels(request, feature, {label_id: form})
    try:
        version = form.cleaned_data["version"]
        label_service.edit_label(feature.pk, label_id, form.cleaned_data["draft"], Author.of(request), version=version)
    except StaleLabel as stale:
        form.show_newer(stale.label)
        form.add_error(None, stale.message)
        return _labels(request, feature, {label_id: form})
    except NotFound as gone:
        form.add_error(None, gone.message)
        return _labels(request, feature, {None: form})  # what was typed can still be added as a new label
    return _labels(request, feature)


@require_POST
def withdraw_label(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    return _change(request, experiment_id, index, label_id, label_service.withdraw_label)


@require_POST
def restore_label(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    return _change(request, experiment_id, index, label_id, label_service.restore_label)


@require_POST
def choose_label(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    return _change(request, experiment_id, index, label_id, label_service.choose_label)


@require_GET
def label_history(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    """Every change of one label: a part of the feature's page for htmx, else a page of its own."""
    feature = get_object_or_404(Feature.objects.select_related("experiment"), experiment=experiment_id, index=index)
    try:
        revisions = label_service.history_of(feature.pk, label_id)
    except NotFound as missing:
        raise Http404 from missing
    context = {"nav": "features", "experiment": feature.experiment, "feature": feature, "revisions": revisions}
    template = "features/_label_history.html" if request.htmx else "features/label_history.html"
    return render(request, template, context)


@require_http_methods(["GET", "POST"])
def test_label(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    """A blind test of a label by a person; POST takes the answers, and shows where the feature fires."""
    feature = get_object_or_404(Feature.objects.select_related("experiment"), experiment=experiment_id, index=index)
    label = _label_or_404(feature, label_id)
    context = {"nav": "features", "experiment": feature.experiment, "feature": feature, "label": label}
    try:
        seed = parse_integer(
            request.POST.get("seed") or secrets.randbelow(MAXIMUM_SEED), field="seed", minimum=0, maximum=MAXIMUM_SEED
        )
        windows = blind_windows(feature, seed)
    except (Problem, IndexUnavailable) as problem:
        return render(request, "features/label_test.html", context | {"problem": str(problem)}, status=422)
    context |= {"windows": windows, "seed": seed}
    if request.method == "POST":
        expected = {int(number) for number in request.POST.getlist("fires") if number.isdecimal()}
        context["test"] = record_test(label, windows, expected, seed, Author.of(request))
        context["expected"] = expected
    return render(request, "features/label_test.html", context)


def _label_or_404(feature: Feature, label_id: int) -> Label:
    try:
        return label_service.find_label(feature.pk, label_id)
    except NotFound as missing:
        raise Http404 from missing


def _change(
    request: HtmxRequest, experiment_id: int, index: int, label_id: int, change: Callable[..., Any]
) -> HttpResponse:
    feature = get_object_or_404(Feature, experiment=experiment_id, index=index)
    with suppress(NotFound):  # somebody else was faster; the labels that are left say it
        change(feature.pk, label_id, Author.of(request))
    return _labels(request, feature)


def _labels(request: HtmxRequest, feature: Feature, refused: RefusedForms | None = None) -> HttpResponse:
    """After a change: the labels and the title for htmx, the page again for others. Refused forms keep their text."""
    if not request.htmx:
        return feature_page(request, feature.experiment_id, feature.index, refused) if refused else redirect(feature)
    evidence = evidence_or_404(feature.experiment_id, feature.index)
    context = {"evidence": evidence, "feature": evidence.feature, **label_forms(evidence, refused or {})}
    return render(request, "features/_labels_changed.html", context, status=422 if refused else 200)
