"""Labels and features in files: exported as the gallery shows them, imported after a look at what would happen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from experiments.models import Experiment
from features.gallery_forms import GalleryForm
from features.models import LabelImport
from features.services import label_files
from features.services.evidence import concept_titles
from features.views import HtmxRequest
from latentlens.lib.downloads import download
from latentlens.lib.problems import Conflict, NotFound, Problem

IMPORTS_SHOWN = 10


@require_GET
def files(request: HttpRequest, experiment_id: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if not experiment.has_features:
        return render(request, "features/unfinished.html", {"nav": "features", "experiment": experiment})
    return render(request, "features/files.html", _context(request, experiment))


@require_GET
def export(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    """The file; a filter or format that makes no sense is a sentence on the page."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    form = GalleryForm(request.GET, concepts=concept_titles(experiment))
    if not form.is_valid():
        return _refused(request, experiment, str(next(iter(form.errors.values()))[0]))
    try:
        format = label_files.format_named(request.GET.get("format", "csv"))
        made = label_files.export(
            experiment.pk, form.cleaned_data["filter"], request.GET.get("contents", "labels"), format
        )
    except Problem as problem:
        return _refused(request, experiment, problem.message)
    return download(request, made.file, made.filename, made.media_type)


@require_POST
def start_import(request: HttpRequest, experiment_id: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    file = request.FILES.get("file")
    if file is None:
        return _refused(request, experiment, "Choose a file of labels first.")
    try:
        row = label_files.start_import(experiment, file, request.user)  # type: ignore[arg-type]
    except Problem as problem:
        return _refused(request, experiment, problem.message)
    return redirect("features:label-import", experiment.pk, row.pk)


@require_GET
def label_import(request: HtmxRequest, experiment_id: int, import_id: int) -> HttpResponse:
    """What an import would do, is doing, or has done; a part of the page while it is waited for."""
    row = _find(experiment_id, import_id)
    context = {"nav": "features", "experiment": row.experiment, "import": row}
    is_part = request.htmx and not request.htmx.history_restore_request
    return render(request, "features/_label_import.html" if is_part else "features/label_import.html", context)


@require_POST
def apply_import(request: HttpRequest, experiment_id: int, import_id: int) -> HttpResponse:
    row = _find(experiment_id, import_id)
    try:
        label_files.ask_to_apply(row, take_conflicting=request.POST.get("conflicts") == "take")
    except Conflict as problem:
        messages.error(request, problem.message)
    return redirect("features:label-import", experiment_id, import_id)


@require_POST
def discard_import(request: HttpRequest, experiment_id: int, import_id: int) -> HttpResponse:
    label_files.discard_import(_find(experiment_id, import_id))
    messages.info(request, "The import was discarded.")
    return redirect("features:files", experiment_id)


def _find(experiment_id: int, import_id: int) -> LabelImport:
    try:
        return label_files.find_import(experiment_id, import_id)
    except NotFound as missing:
        raise Http404 from missing


def _refused(request: HttpRequest, experiment: Experiment, problem: str) -> HttpResponse:
    return render(request, "features/files.html", _context(request, experiment) | {"problem": problem}, status=422)


def _context(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    state = request.GET.copy()
    for name in ("contents", "format", "cursor", "ordering", "view"):
        state.pop(name, None)
    return {
        "nav": "features",
        "experiment": experiment,
        "state": state.urlencode(),
        "formats": list(label_files.FORMATS.values()),
        "imports": LabelImport.objects.filter(experiment=experiment).select_related("user")[:IMPORTS_SHOWN],
    }
