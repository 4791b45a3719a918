"""The pages of sweeps. A view reads the request, calls one service, and renders."""

from __future__ import annotations

import csv
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from experiments import live_page
from experiments.engine.config import SETTINGS
from experiments.metric_explanations import EXPLANATIONS
from experiments.models import Experiment, Sweep
from experiments.pareto import charts, legend, sweep_rows
from experiments.services import sweeps as service
from experiments.services.experiments import RESUMABLE
from experiments.services.typed_settings import LISTED
from experiments.services.workers import worker_is_alive
from experiments.sweep_form import SweepForm
from latentlens.lib.csv_cells import safe_cell
from latentlens.lib.paging import Ordering, page_of
from latentlens.lib.problems import Conflict, NotFound, Refused

ROWS = 25
CHANGES = {"cancel": service.cancel_sweep, "pause": service.pause_sweep, "resume": service.resume_sweep}


@require_GET
def sweep_list(request: HttpRequest) -> HttpResponse:
    """All sweeps, newest first."""
    rows, cursor = service.sweeps_with_counts(), request.GET.get("cursor")
    try:
        page = page_of(rows, Ordering("pk", descending=True), limit=ROWS, cursor=cursor)
    except Refused:
        return redirect("experiments:sweeps")
    context = {"nav": "experiments", "sweeps": page.items, "next": page.next, "is_first_page": cursor is None}
    return render(request, "experiments/sweep_list.html", context)


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form of a sweep, filled in from the address; sending it starts the experiments."""
    if request.method == "GET":
        form = SweepForm(initial=request.GET.dict())
        return render(request, "experiments/sweep_new.html", {"nav": "experiments", "form": form})
    form = SweepForm(request.POST)
    try:
        return redirect(service.create_sweep(form.request()))
    except Refused as refusal:
        form.show_mistakes(refusal.fields or {"": refusal.message})
    return render(request, "experiments/sweep_new.html", {"nav": "experiments", "form": form}, status=422)


@require_GET
def detail(request: HttpRequest, sweep_id: int) -> HttpResponse:
    """One sweep: its experiments, charts, and the table of numbers."""
    return render(request, "experiments/sweep.html", _context(_find(sweep_id)))


@require_GET
def results(request: HttpRequest, sweep_id: int) -> HttpResponse:
    """What changes on the page of a sweep, for htmx."""
    return render(request, "experiments/_sweep_results.html", _context(_find(sweep_id)))


@require_POST
def change(request: HttpRequest, sweep_id: int, action: str) -> HttpResponse:
    """Cancels, pauses or resumes all experiments that can be; says so when none can."""
    sweep = _find(sweep_id)
    try:
        CHANGES[action](sweep_id)
    except Conflict as conflict:
        messages.error(request, conflict.message)
    return redirect(sweep)


@require_GET
def table(request: HttpRequest, sweep_id: int) -> HttpResponse:
    """The numbers as CSV, one row for each experiment."""
    sweep = _find(sweep_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="sweep-{sweep.pk}.csv"'
    csv.writer(response).writerows([[safe_cell(cell) for cell in row] for row in sweep_rows(sweep)])
    return response


def _context(sweep: Sweep) -> dict[str, Any]:
    members = list(service.members_of(sweep))
    finished = sum(member.has_features for member in members)
    is_live = any(member.is_live for member in members)
    return {
        "nav": "experiments",
        "sweep": sweep,
        "rows": [live_page.row_context(member) for member in members],
        "charts": charts(members),
        "legend": legend(members),
        "is_live": is_live,
        **_offers(members),
        "finished": finished,
        "seed_twins": service.seed_twins(members),
        "seed_stability": EXPLANATIONS["seed_stability"],
        "compared": [(SETTINGS[name].title, sweep.request.get(name, [])) for name in LISTED],
        "worker_is_missing": is_live and not worker_is_alive("experiments"),
    }


def _offers(members: list[Experiment]) -> dict[str, bool]:
    """What can be asked of the experiments together, and what has been asked already."""
    unasked = [member for member in members if not member.cancel_requested]
    return {
        "can_pause": any(member.is_live and not member.pause_requested for member in unasked),
        "can_resume": any(member.status in RESUMABLE for member in members),
        "can_cancel": any(member.is_live or member.status == Experiment.Status.PAUSED for member in unasked),
        "is_pausing": any(member.pause_requested for member in unasked),
    }


def _find(sweep_id: int) -> Sweep:
    try:
        return service.sweep_by_id(sweep_id)
    except NotFound as problem:
        raise Http404 from problem
