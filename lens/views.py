"""The lens: a page with a prompt, and a page for each prompt that was read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import push_url, reswap, retarget
from django_htmx.middleware import HtmxDetails

from experiments.models import Experiment
from experiments.services.workers import worker_is_alive
from features.services.evidence import concept_titles
from latentlens.lib.paging import Ordering, Page, page_of
from latentlens.lib.problems import Conflict, NotFound, Refused
from lens.examples import EXAMPLE_PROMPTS
from lens.forms import PromptForm
from lens.heat_map import LensState, paint
from lens.models import Analysis
from lens.services.analyses import (
    analyses_of,
    expect_prompt,
    find_analysis,
    readable_experiments,
    request_analysis,
    wait_for,
)
from lens.services.readings import reading_of

# More than fire on a token for the usual k, so that colouring by one feature misses nothing.
FEATURES_PER_TOKEN = 64
EARLIER = 8
WAIT_SECONDS = 2.0


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


@require_http_methods(["GET", "POST"])
def home(request: HtmxRequest) -> HttpResponse:
    if request.method == "POST":
        return _read(request)
    experiment = readable_experiments().filter(pk=_digits(request.GET.get("experiment"))).first()
    experiment = experiment or readable_experiments().first()
    if experiment is None:
        unfinished = Experiment.objects.filter(status__in=[Experiment.Status.QUEUED, Experiment.Status.RUNNING])
        return render(request, "lens/no_experiment.html", {"nav": "lens", "unfinished": unfinished.first()})
    form = PromptForm(initial={"text": request.GET.get("text", ""), "experiment": experiment.pk})
    return _home(request, form, has_worker=expect_prompt(experiment.pk))


@require_GET
def analysis(request: HtmxRequest, analysis_id: UUID) -> HttpResponse:
    try:
        found = find_analysis(analysis_id)
    except NotFound as missing:
        raise Http404 from missing
    if found.is_pending and request.htmx:
        found = wait_for(found, WAIT_SECONDS)
    return _analysis(request, found)


@require_POST
def features_of_text(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """The gallery of what fires on a typed text; while that is not read yet, the page that waits for it."""
    try:
        asked = request_analysis(experiment_id, request.POST.get("text", ""), FEATURES_PER_TOKEN, request.user)
    except NotFound as missing:
        raise Http404 from missing
    except (Conflict, Refused) as refusal:
        messages.error(request, refusal.message)
        return redirect("features:gallery", experiment_id)
    if wait_for(asked, WAIT_SECONDS).status != Analysis.Status.FINISHED:
        return redirect(asked)
    return redirect(f"{reverse('features:gallery', args=[experiment_id])}?analysis={asked.pk}")


def _read(request: HtmxRequest) -> HttpResponse:
    """A prompt was typed: the answer itself if it comes soon, and at its own address."""
    form = PromptForm(request.POST)
    if not form.is_valid():
        return _home(request, form, has_worker=worker_is_alive("lens"))
    chosen = form.cleaned_data
    try:
        asked = request_analysis(chosen["experiment"].pk, chosen["text"], FEATURES_PER_TOKEN, request.user)
    except (NotFound, Conflict, Refused) as refusal:  # the experiment was deleted a moment ago
        form.add_error("experiment", refusal.message)
        return _home(request, form, has_worker=worker_is_alive("lens"))
    answered = wait_for(asked, WAIT_SECONDS)
    if request.htmx:
        return push_url(_analysis(request, answered), answered.get_absolute_url())
    return redirect((answered.get_absolute_url() + LensState.of(request.POST).query).removesuffix("?"))


def _home(request: HtmxRequest, form: PromptForm, *, has_worker: bool) -> HttpResponse:
    """The page with a form, empty or refused; by htmx a refused form alone, in the place of the one that was sent."""
    context = {
        "nav": "lens",
        "form": form,
        "examples": list(enumerate(EXAMPLE_PROMPTS)),
        "worker_is_alive": has_worker,
    }
    status = 422 if form.is_bound else 200
    if form.is_bound and request.htmx:
        response = render(request, "lens/_lens_form.html", context, status=status)
        return reswap(retarget(response, "#lens-form"), "outerHTML")
    return render(request, "lens/home.html", context | _earlier(request), status=status)


def _analysis(request: HtmxRequest, found: Analysis) -> HttpResponse:
    context: dict[str, Any] = {"nav": "lens", "analysis": found, **_reading(request, found)}
    if request.htmx and not request.htmx.history_restore_request:
        response = render(request, "lens/_lens_reading.html", context)
    else:
        form = PromptForm(initial={"text": found.text, "experiment": found.experiment_id})
        response = render(request, "lens/analysis.html", context | {"form": form})
    patch_vary_headers(response, ["HX-Request"])
    return response


def _reading(request: HttpRequest, found: Analysis) -> dict[str, Any]:
    if found.is_pending:
        return {"worker_is_alive": worker_is_alive("lens")}
    if found.status == Analysis.Status.FAILED:
        return {}
    reading = reading_of(found)
    return {
        "reading": reading,
        "heat_map": paint(reading, found.experiment_id, LensState.of(request.GET)),
        "concepts": concept_titles(found.experiment),
    }


def _earlier(request: HttpRequest) -> dict[str, Any]:
    cursor = request.GET.get("cursor")
    newest_first = Ordering("created_at", descending=True)
    try:
        return {"earlier": page_of(analyses_of(request.user), newest_first, limit=EARLIER, cursor=cursor)}
    except Refused as refusal:
        return {"earlier": Page[Analysis]([], None), "earlier_problem": refusal.message}


def _digits(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
