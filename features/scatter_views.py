"""Density against strongest activation: a page of its own, and the part of the gallery that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from experiments.models import Experiment
from features.gallery_forms import GalleryForm
from features.services.evidence import concept_titles
from features.services.gallery.scatter import COLUMNS, ROWS, Axis, Cell, Scatter, scatter_of
from features.templatetags.evidence import percent, significant
from features.views import HtmxRequest
from latentlens.lib.problems import Problem

# In units of the drawing: a cell, and the room for what is written at the axes.
CELL_WIDTH, CELL_HEIGHT = 15, 13
LEFT, TOP, RIGHT, BOTTOM = 58, 8, 14, 44
_RANGES = ("min_density", "max_density", "min_max_activation", "max_max_activation")


@dataclass(frozen=True)
class DrawnCell:
    x: int
    y: int
    level: int
    title: str
    query: str


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


class Drawing:
    """A scatter as SVG numbers; `state` is the gallery's address, in which a cell changes the ranges alone."""

    width, height = LEFT + COLUMNS * CELL_WIDTH + RIGHT, TOP + ROWS * CELL_HEIGHT + BOTTOM
    left, top, bottom = LEFT, TOP, TOP + ROWS * CELL_HEIGHT
    plot_width, plot_height = COLUMNS * CELL_WIDTH, ROWS * CELL_HEIGHT
    middle, half_height = LEFT + COLUMNS * CELL_WIDTH // 2, TOP + ROWS * CELL_HEIGHT // 2
    cell_width, cell_height = CELL_WIDTH - 1, CELL_HEIGHT - 1

    def __init__(self, scatter: Scatter, state: QueryDict) -> None:
        self.scatter, self._state = scatter, state
        self.density_bounds = _bounds(scatter.density)
        self.activation_bounds = _bounds(scatter.activation)

    def cells(self) -> list[DrawnCell]:
        return [self._drawn(cell) for cell in self.scatter.cells]

    def across(self) -> list[Tick]:
        axis = self.scatter.density
        return [
            Tick(round(LEFT + axis.place(value) * self.plot_width, 1), _tick_percent(value)) for value in axis.ticks()
        ]

    def upwards(self) -> list[Tick]:
        axis = self.scatter.activation
        ticks = axis.ticks()
        return [Tick(round(self.bottom - axis.place(value) * self.plot_height, 1), f"{value:g}") for value in ticks]

    def _drawn(self, cell: Cell) -> DrawnCell:
        state = self._state.copy()
        for name in _RANGES:
            state[name] = f"{getattr(cell, name):g}"
        noun = "feature" if cell.count == 1 else "features"
        density = f"{percent(cell.min_density)} to {percent(cell.max_density)}"
        activation = f"{significant(cell.min_max_activation)} to {significant(cell.max_max_activation)}"
        title = f"{cell.count:,} {noun}: density {density}, strongest activation {activation}"
        y = self.bottom - (cell.row + 1) * CELL_HEIGHT
        return DrawnCell(LEFT + cell.column * CELL_WIDTH, y, cell.level, title, state.urlencode())


def _tick_percent(share: float) -> str:
    """Without digits that say nothing: 0.001 %, 10 %."""
    return f"{100 * share:.10f}".rstrip("0").rstrip(".") + " %"


def _bounds(axis: Axis) -> tuple[float, float]:
    return float(axis.edges[0]), float(axis.edges[-1])


@require_GET
def scatter(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    context: dict[str, Any] = {"nav": "features", "experiment": experiment}
    if not experiment.has_features:
        return render(request, "features/unfinished.html", context)
    form = GalleryForm(request.GET, concepts=concept_titles(experiment))
    context |= {"form": form, **_drawing(request, experiment, form)}
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "features/_scatter.html" if is_part else "features/scatter.html"
    response = render(request, template, context, status=422 if form.errors else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _drawing(request: HttpRequest, experiment: Experiment, form: GalleryForm) -> dict[str, Any]:
    state = request.GET.copy()
    state.pop("cursor", None)
    context: dict[str, Any] = {"state": state.urlencode()}
    if not form.is_valid():
        return context
    try:
        found = scatter_of(experiment.pk, form.cleaned_data["filter"])
    except Problem as refusal:
        form.add_error(None, refusal.message)
        return context
    table = state.copy()
    table["view"] = "table"
    return context | {"drawing": found and Drawing(found, state), "table_state": table.urlencode()}
