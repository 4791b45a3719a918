"""The page on which an SAE of another tool is imported, and the download of one of ours in another tool's files."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from experiments.engine.config import ARCHITECTURES
from experiments.engine.formats import tool_names
from experiments.import_form import ImportForm
from experiments.services.experiments import experiment_by_id
from experiments.services.exports import zip_name, zipped_sae
from experiments.services.imports import create_import, look
from latentlens.lib.problems import NotFound, Problem


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form; its address may name a folder. `look` shows what the files say, else the import is started."""
    form = ImportForm(request.POST if request.method == "POST" else request.GET, request.FILES)
    status, found = 200, None
    if request.method == "POST" or form.text("folder"):
        try:
            folder = form.source()
            found = look(folder)
            if request.method == "POST" and "look" not in request.POST:
                experiment = create_import(folder, form.request())
                if form.kept:
                    form.kept.forget()
                return redirect(experiment)
        except Problem as problem:
            form.show_mistakes(problem.fields or {"files": problem.message})
            status = problem.status
    context = {"nav": "experiments", "form": form, "found": found, "tools": tool_names()}
    context |= {"architecture": ARCHITECTURES[found.architecture]} if found else {}
    return render(request, "experiments/import.html", context, status=status)


@require_GET
def export(request: HttpRequest, experiment_id: int, name: str) -> HttpResponse | FileResponse:
    """The SAE as a zip archive; what a format cannot hold is said on the page of the experiment."""
    try:
        experiment = experiment_by_id(experiment_id)
    except NotFound as problem:
        raise Http404 from problem
    try:
        archive = zipped_sae(experiment, name)
    except Problem as problem:
        messages.error(request, problem.message)
        return redirect(experiment)
    return FileResponse(archive, as_attachment=True, filename=zip_name(experiment, name))
