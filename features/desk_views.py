"""The labelling desk, one feature of a queue at a time. A view reads the request, calls one service, and renders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.text import Truncator
from django.views.decorators.http import require_GET, require_POST

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, ExamplePage, IndexUnavailable
from features.desk_forms import DeskLabelForm, QueueForm
from features.models import Feature, Label
from features.services import labels as label_service
from features.services.desk import Queue, next_in, previous_in, progress_of
from features.services.evidence import Evidence, evidence_of
from features.services.labels import Author, StaleLabel
from features.views import HtmxRequest
from latentlens.lib.problems import Conflict, NotFound

EXAMPLES = 8
# Skipped features are remembered for the rest of the visit, so that the queue does not offer them again.
SKIPS_REMEMBERED = 2_000
_STATE = ("rule", "word", "seed", "with_labelled")


@require_GET
def desk(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    """The desk; without `feature` in the address at the first feature of the queue that nobody has labelled."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if not experiment.has_features:
        return render(request, "features/unfinished.html", {"nav": "features", "experiment": experiment})
    form = QueueForm(request.GET)
    if not form.is_valid():
        return _render(request, {"experiment": experiment, "queue_form": form}, status=422)
    index = _index_asked_for(request)
    if index is None:
        index = next_in(experiment.pk, form.cleaned_data["queue"], None, _skipped(request, experiment_id))
    return _desk(request, experiment, form, index)


@require_POST
def save(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    """Adds a label, or edits the one that the person gave before; then on to the next feature."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    feature = get_object_or_404(Feature, experiment=experiment_id, index=index)
    form = DeskLabelForm(request.POST)
    if not form.is_valid():
        return _desk(request, experiment, QueueForm(request.GET), index, form=form)
    draft, label_id, author = form.cleaned_data["draft"], form.cleaned_data["label"], Author.of(request)
    try:
        if label_id is None:
            label = label_service.add_label(feature.pk, draft, author)
        else:
            version = form.cleaned_data["version"]
            label = label_service.edit_label(feature.pk, label_id, draft, author, version=version)
    except StaleLabel as stale:
        form.show_newer(stale.label)
        form.add_error(None, stale.message)
        return _desk(request, experiment, QueueForm(request.GET), index, form=form)
    except NotFound as gone:
        form.forget_label()
        form.add_error(None, gone.message)
        return _desk(request, experiment, QueueForm(request.GET), index, form=form)
    return _go_on(request, experiment, index, f"#{index} is “{Truncator(label.text).chars(60)}”.")


@require_POST
def skip(request: HtmxRequest, experiment_id: int, index: int) -> HttpResponse:
    """On to the next feature; this one is not offered again during the visit."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    skipped = [number for number in _skipped(request, experiment_id) if number != index]
    request.session[_skip_key(experiment_id)] = [*skipped, index][-SKIPS_REMEMBERED:]
    return _go_on(request, experiment, index, f"#{index} was skipped.")


@require_POST
def undo(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    """Takes back the person's last change of a label, and shows the feature that it is about."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    form = QueueForm(request.GET)
    try:
        label = label_service.undo_last(experiment_id, Author.of(request))
    except Conflict as problem:
        return _show(request, experiment, form, _index_asked_for(request), problem.message)
    return _show(request, experiment, form, label.feature.index, f"Undone: “{Truncator(label.text).chars(60)}”.")


@require_POST
def review(request: HtmxRequest, experiment_id: int, index: int, label_id: int) -> HttpResponse:
    """Approves or rejects a machine's label; then on to the next feature."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    feature = get_object_or_404(Feature, experiment=experiment_id, index=index)
    verdict = Label.Review.APPROVED if request.POST.get("verdict") == "approved" else Label.Review.REJECTED
    try:
        label = label_service.review_label(feature.pk, label_id, verdict, Author.of(request))
    except NotFound as gone:
        return _go_on(request, experiment, index, gone.message)
    return _go_on(request, experiment, index, f"#{index}: “{Truncator(label.text).chars(60)}” is {verdict.label}.")


def _go_on(request: HtmxRequest, experiment: Experiment, index: int, message: str) -> HttpResponse:
    form = QueueForm(request.GET)
    if not form.is_valid():
        return _show(request, experiment, form, index, message)
    after = next_in(experiment.pk, form.cleaned_data["queue"], index, _skipped(request, experiment.pk))
    return _show(request, experiment, form, after, message)


def _show(
    request: HtmxRequest, experiment: Experiment, form: QueueForm, index: int | None, message: str
) -> HttpResponse:
    """After a change: the desk at a feature, under the address that shows it again."""
    address = _address(request, experiment.pk, index)
    if not request.htmx:
        request.session["desk_message"] = message
        return redirect(address)
    response = _desk(request, experiment, form, index, message=message)
    response.headers["HX-Push-Url"] = address
    return response


def _desk(
    request: HtmxRequest,
    experiment: Experiment,
    queue_form: QueueForm,
    index: int | None,
    *,
    form: DeskLabelForm | None = None,
    message: str = "",
) -> HttpResponse:
    context: dict[str, Any] = {
        "experiment": experiment,
        "queue_form": queue_form,
        "message": message or request.session.pop("desk_message", ""),
        "state": _state(request.GET).urlencode(),
    }
    if queue_form.is_valid():
        queue: Queue = queue_form.cleaned_data["queue"]
        context["progress"] = progress_of(experiment.pk, queue)
        if index is not None:
            context |= _feature_at(request, experiment, queue, index, form)
    return _render(request, context, status=422 if form is not None and form.errors else 200)


def _feature_at(
    request: HtmxRequest, experiment: Experiment, queue: Queue, index: int, form: DeskLabelForm | None
) -> dict[str, Any]:
    try:
        evidence = evidence_of(experiment.pk, index)
    except NotFound:
        return {"missing": index}
    next_index = next_in(experiment.pk, queue, index, _skipped(request, experiment.pk))
    previous_index = previous_in(experiment.pk, queue, index)
    context = {
        "feature": evidence.feature,
        "evidence": evidence,
        "form": form or DeskLabelForm(mine=_own_label(evidence, request)),
        "next_address": None if next_index is None else _address(request, experiment.pk, next_index),
        "previous_address": None if previous_index is None else _address(request, experiment.pk, previous_index),
    }
    try:
        found = ActivationIndex(experiment_folder(experiment.pk)).examples(index, rank=1, count=EXAMPLES)
    except IndexUnavailable as problem:
        return context | {"examples_problem": str(problem)}
    return context | {"examples": _without_more(found)}


def _own_label(evidence: Evidence, request: HtmxRequest) -> Label | None:
    """The label to edit: the person's own newest, if there is one."""
    own = (label for label in evidence.labels if label.user_id == request.user.pk and not label.is_by_machine)
    return next(own, None)


def _without_more(found: ExamplePage) -> ExamplePage:
    return replace(found, total=found.items[-1].rank if found.items else 0)


def _render(request: HtmxRequest, context: dict[str, Any], status: int) -> HttpResponse:
    """The page, or only the desk for htmx. What is shown may be fetched ahead, so it is never stored for longer."""
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "features/_desk.html" if is_part else "features/desk.html"
    response = render(request, template, {"nav": "features", **context}, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _index_asked_for(request: HtmxRequest) -> int | None:
    text = request.GET.get("feature", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _state(query: QueryDict) -> QueryDict:
    """The queue's part of the address; what is empty says nothing."""
    state = QueryDict(mutable=True)
    for name in _STATE:
        if value := query.get(name):
            state[name] = str(value)
    return state


def _address(request: HtmxRequest, experiment_id: int, index: int | None) -> str:
    state = _state(request.GET)
    if index is not None:
        state["feature"] = str(index)
    return f"{reverse('features:labelling', args=[experiment_id])}?{state.urlencode()}"


def _skip_key(experiment_id: int) -> str:
    return f"desk_skipped_{experiment_id}"


def _skipped(request: HtmxRequest, experiment_id: int) -> list[int]:
    skipped: list[int] = request.session.get(_skip_key(experiment_id), [])
    return skipped
