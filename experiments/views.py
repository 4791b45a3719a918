"""The pages of experiments. A view reads the request, calls one service, and renders."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.middleware import HtmxDetails

from experiments import explorer, live_page
from experiments.curves import curves_of, metric_points
from experiments.models import Experiment
from experiments.services import experiments as service
from experiments.services import previews
from experiments.services.workers import worker_is_alive
from latentlens.lib.paging import Ordering, page_of
from latentlens.lib.problems import Conflict, NotFound, Refused

ROWS = 25
CHANGES = {
    "cancel": service.cancel_experiment,
    "pause": service.pause_experiment,
    "resume": service.resume_experiment,
    "harvest": service.harvest_again,
}


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


@require_GET
def experiment_list(request: HtmxRequest) -> HttpResponse:
    """All experiments, newest first."""
    try:
        page = page_of(
            service.newest_first(), Ordering("pk", descending=True), limit=ROWS, cursor=request.GET.get("cursor")
        )
    except Refused:
        return redirect("experiments:list")
    context = {
        "nav": "experiments",
        "rows": [live_page.row_context(experiment) for experiment in page.items],
        "next": page.next,
        "is_first_page": "cursor" not in request.GET,
        "worker_is_missing": not worker_is_alive("experiments"),
    }
    return render(request, "experiments/list.html", context)


@require_GET
def row(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """One row of the list, for rows that are still changing."""
    return render(request, "experiments/_experiment_row.html", {"row": live_page.row_context(_find(experiment_id))})


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The Layer Explorer. Its address fills in the form; sending it starts the experiment."""
    if request.method == "GET":
        return render(request, "experiments/new.html", explorer.explorer_context(explorer.explorer_form(request.GET)))
    form = explorer.explorer_form(request.POST, request.FILES)
    if "look" in request.POST:  # without JavaScript: show layers and estimate, start nothing
        explorer.keep_file(form)
        return render(request, "experiments/new.html", explorer.explorer_context(form))
    experiment = explorer.start(form)
    if experiment is None:
        return render(request, "experiments/new.html", explorer.explorer_context(form), status=422)
    return redirect(experiment)


@require_GET
def layers(request: HttpRequest) -> HttpResponse:
    """The layer stack and the estimate for what is in the form."""
    context = explorer.explorer_context(explorer.explorer_form(request.GET))
    return render(request, "experiments/_layers_and_estimate.html", context)


@require_GET
def estimate(request: HttpRequest) -> HttpResponse:
    """The estimate for what is in the form."""
    form = explorer.explorer_form(request.GET)
    return render(request, "experiments/_estimate.html", {"estimate": explorer.estimate_view(form)})


@require_GET
def settings(request: HttpRequest) -> HttpResponse:
    """The settings of the architecture in the form, with what was typed for them, for htmx."""
    form = explorer.explorer_form(request.GET)
    return render(request, "experiments/_sae_settings.html", explorer.settings_context(form))


@require_POST
def ask_preview(request: HtmxRequest) -> HttpResponse:
    """Asks for the tokens of the corpus in the form; a file that comes with it becomes a corpus."""
    form = explorer.explorer_form(request.POST, request.FILES)
    context = explorer.preview_context(form)
    if request.htmx:
        return render(request, "experiments/_token_preview.html", context)
    return render(request, "experiments/new.html", explorer.explorer_context(form) | context)


@require_GET
def preview(request: HttpRequest, preview_id: int) -> HttpResponse:
    """A preview of tokens as it stands, for htmx."""
    try:
        made = previews.preview_by_id(preview_id)
    except NotFound as problem:
        raise Http404 from problem
    return render(request, "experiments/_token_preview.html", explorer.shown_preview(made))


@require_GET
def detail(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """One experiment: progress, curves, quality, configuration."""
    return render(request, "experiments/detail.html", _detail_context(_find(experiment_id)))


@require_POST
def change(request: HtmxRequest, experiment_id: int, action: str) -> HttpResponse:
    """Cancels, pauses, resumes, harvests again. What is not possible is said, and the page shows the present state."""
    try:
        experiment = CHANGES[action](experiment_id)
    except NotFound as problem:
        raise Http404 from problem
    except Conflict as conflict:
        messages.error(request, conflict.message)
        experiment = _find(experiment_id)
    if request.htmx:
        return render(request, "experiments/_experiment_header.html", live_page.live_context(experiment))
    return redirect(experiment)


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Asks first, then removes an experiment with everything that belongs to it."""
    experiment = _find(experiment_id)
    if request.method == "GET":
        return render(request, "experiments/delete.html", {"nav": "experiments", "experiment": experiment})
    try:
        service.delete_experiment(experiment_id)
    except Conflict as conflict:
        messages.error(request, conflict.message)
        return redirect(experiment)
    messages.success(request, f"“{experiment.name}” was deleted.")
    return redirect("experiments:list")


def _detail_context(experiment: Experiment) -> dict[str, Any]:
    points = metric_points(experiment.pk)
    return live_page.page_context(experiment) | {
        "nav": "experiments",
        "curves": curves_of(points, experiment.architecture),
        "points": live_page.points_json(points),
    }


def _find(experiment_id: int) -> Experiment:
    try:
        return service.experiment_by_id(experiment_id)
    except NotFound as problem:
        raise Http404 from problem
