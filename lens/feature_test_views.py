"""“Test it” on a feature's page: a text is read, and one feature shown on it. A part of a page, for htmx."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from experiments.services.workers import worker_is_alive
from latentlens.lib.problems import NotFound, Problem
from lens.heat_map import LensState, paint
from lens.models import Analysis
from lens.services.analyses import find_analysis, request_analysis, wait_for
from lens.services.readings import reading_of
from lens.views import FEATURES_PER_TOKEN, WAIT_SECONDS, HtmxRequest


@require_POST
def ask(request: HttpRequest, experiment_id: int, index: int) -> HttpResponse:
    """Reads a text; without htmx the form is sent to the lens itself."""
    try:
        asked = request_analysis(experiment_id, request.POST.get("text", ""), FEATURES_PER_TOKEN, request.user)
    except Problem as problem:
        return render(request, "lens/_feature_test.html", {"problem": problem.message}, status=422)
    return _shown(request, wait_for(asked, WAIT_SECONDS), index)


@require_GET
def answer(request: HtmxRequest, analysis_id: UUID, index: int) -> HttpResponse:
    """The same text again, for as long as the answer is waited for."""
    try:
        found = find_analysis(analysis_id)
    except NotFound as missing:
        raise Http404 from missing
    if not request.htmx:
        return redirect(f"{found.get_absolute_url()}?feature={index}")
    return _shown(request, wait_for(found, WAIT_SECONDS) if found.is_pending else found, index)


def _shown(request: HttpRequest, found: Analysis, index: int) -> HttpResponse:
    context: dict[str, Any] = {"analysis": found, "index": index}
    if found.is_pending:
        context["worker_is_alive"] = worker_is_alive("lens")
    elif found.status == Analysis.Status.FINISHED:
        context["heat_map"] = paint(reading_of(found), found.experiment_id, LensState(feature=index))
    return render(request, "lens/_feature_test.html", context)
