"""The gallery and the feature page. A view reads the request, calls one service, and renders."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from django_htmx.middleware import HtmxDetails

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, ExamplePage, IndexUnavailable
from features.forms import GalleryForm, LabelForm
from features.models import Feature
from features.services.evidence import Evidence, concept_titles, evidence_of
from features.services.gallery import ORDERINGS, features_of
from latentlens.lib.numbers import parse_integer
from latentlens.lib.paging import Page, page_of
from latentlens.lib.problems import Conflict, NotFound, Refused

CARDS = 24
EXAMPLES = 10
MAXIMUM_RANK = 2**31 - 1

RefusedForms = dict[int | None, LabelForm]  # by the label that was edited; None: a new one


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
        index = parse_integer(request.GET.get("index", ""), field="index", minimum=0, maximum=MAXIMUM_RANK)
    except Refused:
        index = -1
    if Feature.objects.filter(experiment=experiment_id, index=index).exists():
        return redirect("features:detail", experiment_id, index)
    messages.error(request, "There is no feature with this index in the catalogue of this experiment.")
    return redirect("features:gallery", experiment_id)


@require_GET
def detail(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    return feature_page(request, experiment_id, index, {})


@require_GET
def examples(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    """More examples for htmx; anybody else is sent to the page that shows the same ones."""
    if not request.htmx:
        return redirect(f"{reverse('features:detail', args=[experiment_id, index])}?{request.GET.urlencode()}")
    feature = get_object_or_404(Feature.objects.defer("summary", "card"), experiment=experiment_id, index=index)
    return render(request, "features/_example_rows.html", {"feature": feature, **_examples(request, feature)})


def feature_page(request: HttpRequest, experiment_id: int, index: int, refused: RefusedForms) -> HttpResponse:
    """The whole page; `refused` are forms that could not be saved, which keep what was typed."""
    evidence = evidence_or_404(experiment_id, index)
    context = {
        "nav": "features",
        "experiment": evidence.feature.experiment,
        "feature": evidence.feature,
        "evidence": evidence,
        **label_forms(evidence, refused),
        **_examples(request, evidence.feature),
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


def _examples(request: HttpRequest, feature: Feature) -> dict[str, Any]:
    """The examples that the URL asks for, or the sentence that says why there are none."""
    every_firing = request.GET.get("show") == "firings"
    context: dict[str, Any] = {"examples": ExamplePage(), "every_firing": every_firing}
    try:
        rank = parse_integer(request.GET.get("rank") or 1, field="rank", minimum=1, maximum=MAXIMUM_RANK)
        index = ActivationIndex(experiment_folder(feature.experiment_id))
        found = index.examples(feature.index, rank=rank, count=EXAMPLES, one_per_document=not every_firing)
    except (Refused, IndexUnavailable) as problem:
        return context | {"examples_problem": str(problem), "offer_harvest": isinstance(problem, IndexUnavailable)}
    return context | {"examples": found}
