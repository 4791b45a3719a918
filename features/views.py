"""The gallery, as cards or as a table: its address is its whole state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from django_htmx.middleware import HtmxDetails

from experiments.models import Experiment
from features.gallery_forms import VIEWS, GalleryForm
from features.models import Feature
from features.services.evidence import concept_titles
from features.services.gallery import CONCEPTS_FOUND, PRESETS, GalleryPage, gallery_page
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Problem, Refused

MAXIMUM_INDEX = 2**31 - 1
FEATURES_SHOWN = {"cards": 24, "table": 50}
# Header, its ordering without sign, what it says when it is pointed at.
_COLUMNS = (
    ("#", "index", "Index of the feature"),
    ("label", "label", "Text of its label"),
    ("top tokens", "", ""),
    ("density", "density", "Share of the harvested tokens on which it fires"),
    ("max", "max_activation", "Its largest activation"),
    ("mean", "mean_activation", "Mean activation where it fires"),
    ("one token", "token_share", "Share of its firings that are on its most frequent token"),
    ("confidence", "confidence", "Confidence of its label"),
    ("test", "score", "Balanced accuracy of the newest detection test of its label"),
    ("concept", "concept_f1", "Planted concept that it finds, and F1"),
)


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


@dataclass(frozen=True)
class Header:
    """A column of the table; `query` is the address that orders by it, empty where nothing does."""

    words: str
    title: str
    query: str
    direction: str  # ascending, descending or empty: what aria-sort says

    @property
    def is_number(self) -> bool:
        return bool(self.query) and self.words not in ("label", "concept")


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
    found = _found(request, experiment, form)
    context |= _context(request, form, found, concepts)
    response = render(request, _template(request, form), context, status=422 if form.errors else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _found(request: HttpRequest, experiment: Experiment, form: GalleryForm) -> GalleryPage | None:
    """The page that the address asks for; None where it cannot be shown, which the form then says."""
    if not form.is_valid():
        return None
    wanted = form.cleaned_data
    cursor, limit = request.GET.get("cursor"), FEATURES_SHOWN[wanted["view"]]
    try:
        return gallery_page(experiment.pk, wanted["filter"], wanted["ordering"], limit=limit, cursor=cursor, count=True)
    except Problem as refusal:
        form.add_error(None, refusal.message)
        return None


def _template(request: HtmxRequest, form: GalleryForm) -> str:
    """The whole page; only the results when the filter changes; only more features when one scrolls."""
    if not request.htmx or request.htmx.history_restore_request:
        return "features/gallery.html"
    if "cursor" not in request.GET or form.errors:
        return "features/_gallery_results.html"
    return "features/_gallery_rows.html" if form.cleaned_data["view"] == "table" else "features/_gallery_cards.html"


def _context(
    request: HttpRequest, form: GalleryForm, found: GalleryPage | None, concepts: dict[str, str]
) -> dict[str, Any]:
    state = request.GET.copy()
    state.pop("cursor", None)
    view = form.cleaned_data.get("view") or "cards"
    return {
        "form": form,
        "concepts": concepts,
        "found": found,
        "state": state.urlencode(),
        "cursor": request.GET.get("cursor"),
        "presets": [*PRESETS, CONCEPTS_FOUND] if concepts else PRESETS,
        "view": view,
        "views": [(name, words, _with(state, view=name)) for name, words in VIEWS.items()],
        "headers": _headers(state, found) if found and view == "table" else (),
    }


def _headers(state: QueryDict, found: GalleryPage) -> list[Header]:
    """Pressed, a column puts its largest first, and pressed again its smallest; text begins with A."""
    closeness = [(found.neighbourhood.measure, "closeness", found.neighbourhood.title)] if found.neighbourhood else []
    headers = []
    for words, column, title in [*_COLUMNS, *closeness]:
        direction = {column: "ascending", f"-{column}": "descending"}.get(found.ordering, "")
        first, second = (column, f"-{column}") if column == "label" else (f"-{column}", column)
        ordering = second if found.ordering == first and column != "closeness" else first
        headers.append(Header(words, title, _with(state, ordering=ordering) if column else "", direction))
    return headers


def _with(state: QueryDict, **changed: str) -> str:
    """The address with another ordering or view."""
    other = state.copy()
    for name, value in changed.items():
        other[name] = value
    return other.urlencode()


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
