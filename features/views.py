"""The gallery. A view reads the request, calls one service, and renders."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from django_htmx.middleware import HtmxDetails

from experiments.models import Experiment
from features.forms import GalleryForm
from features.models import Feature
from features.services.evidence import concept_titles
from features.services.gallery import ORDERINGS, features_of
from latentlens.lib.numbers import parse_integer
from latentlens.lib.paging import Page, page_of
from latentlens.lib.problems import Conflict, Refused

CARDS = 24
MAXIMUM_INDEX = 2**31 - 1


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


@require_GET
def newest(request: HttpRequest) -> HttpResponse:
    """The way in from the navigation: the gallery of the newest finished experiment."""
    experiment = Experiment.objects.filter(status=Experiment.Status.FINISHED).first()
    if experiment is None:
        return render(request, "features/none.html", {"nav": "features"})
    return redirect("features:gallery", experiment.pk)


@require_GET
def gallery(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    context: dict[str, Any] = {"nav": "features", "experiment": experiment}
    if not experiment.has_features:
        return render(request, "features/unfinished.html", context)
    concepts = concept_titles(experiment)
    form = GalleryForm(request.GET, concepts=concepts)
    context |= {"form": form, "concepts": concepts, **_cards(request, experiment, form)}
    response = render(request, _gallery_template(request), context, status=422 if form.errors else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _gallery_template(request: HtmxRequest) -> str:
    """The whole page; only the results when the filter changes; only more cards when one scrolls."""
    if not request.htmx or request.htmx.history_restore_request:
        return "features/gallery.html"
    return "features/_gallery_cards.html" if "cursor" in request.GET else "features/_gallery_results.html"


def _cards(request: HttpRequest, experiment: Experiment, form: GalleryForm) -> dict[str, Any]:
    """One page of cards, and on a first page also how many features pass the filter."""
    if not form.is_valid():
        return {"page": Page[Feature]([], None)}
    cursor = request.GET.get("cursor")
    try:
        features = features_of(experiment.pk, form.cleaned_data["filter"])
        page = page_of(features, ORDERINGS[form.cleaned_data["ordering"]], limit=CARDS, cursor=cursor)
    except (Refused, Conflict) as problem:
        form.add_error(None, problem.message)
        return {"page": Page[Feature]([], None)}
    state = request.GET.copy()
    state.pop("cursor", None)
    return {"page": page, "state": state.urlencode(), "cursor": cursor, "total": None if cursor else features.count()}


@require_GET
def jump(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """To the feature whose index was typed."""
    try:
        index = parse_integer(request.GET.get("index", ""), field="index", minimum=0, maximum=MAXIMUM_INDEX)
    except Refused:
        index = -1
    if Feature.objects.filter(experiment=experiment_id, index=index).exists():
        return redirect("features:detail", experiment_id, index)
    messages.error(request, "There is no feature with this index in the catalogue of this experiment.")
    return redirect("features:gallery", experiment_id)
