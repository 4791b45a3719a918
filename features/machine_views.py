"""Machine labels of an experiment: asked for, watched and cancelled."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from experiments.models import Experiment
from features.models import MachineLabelling
from features.services import machine_labels
from features.services.concept_agreement import agreement_report
from features.services.label_transfer import start_transfer, transfer_sources
from features.views import HtmxRequest
from latentlens.lib.numbers import parse_integer, parse_number
from latentlens.lib.problems import Problem

PASSES_SHOWN = 5
INDICES_SHOWN = 40


@require_http_methods(["GET", "POST"])
def machine_labelling(request: HtmxRequest, experiment_id: int) -> HttpResponse:
    """What machines have labelled; POST asks for another pass."""
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if not experiment.has_features:
        return render(request, "features/unfinished.html", {"nav": "features", "experiment": experiment})
    if request.method == "POST":
        try:
            _start(request, experiment)
        except Problem as problem:
            messages.error(request, problem.message)
        return redirect("features:machine-labels", experiment.pk)
    passes = list(experiment.machine_labellings.select_related("user", "source")[:PASSES_SHOWN])
    context = {
        "nav": "features",
        "experiment": experiment,
        "passes": passes,
        "sources": transfer_sources(experiment),
        "endpoint": machine_labels.endpoint_method(),
        "beside": passes
        and machine_labels.is_endpoint(passes[0].method)
        and machine_labels.scores_beside(experiment, passes[0].method),
        "agreement": agreement_report(passes[0]) if passes else None,
        "is_live": any(row.is_live for row in passes),
        "failures": [(reason, len(indices), indices[:INDICES_SHOWN]) for reason, indices in passes[0].failures.items()]
        if passes
        else [],
    }
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "features/_machine_labels.html" if is_part else "features/machine_labels.html"
    return render(request, template, context)


def _start(request: HtmxRequest, experiment: Experiment) -> None:
    user = request.user if isinstance(request.user, User) else None
    if request.POST.get("method") == "endpoint":
        most = parse_integer(request.POST.get("most", "50"), field="most", minimum=1, maximum=100_000)
        method = machine_labels.endpoint_method() or machine_labels.ENDPOINT_PREFIX
        machine_labels.start_labelling(experiment, method, user, most)
        return
    if request.POST.get("method") != machine_labels.TRANSFER:
        machine_labels.start_labelling(experiment, machine_labels.METHOD, user)
        return
    number = parse_integer(request.POST.get("source"), field="source", minimum=1, maximum=2**31)
    least = parse_number(request.POST.get("least_match", "0.7"), field="least_match", minimum=0.1, maximum=1.0)
    start_transfer(experiment, Experiment.objects.filter(pk=number).first(), user, least)


@require_POST
def cancel(request: HtmxRequest, experiment_id: int, labelling_id: int) -> HttpResponse:
    machine_labels.cancel_labelling(_find(experiment_id, labelling_id))
    return redirect("features:machine-labels", experiment_id)


@require_POST
def go_on(request: HtmxRequest, experiment_id: int, labelling_id: int) -> HttpResponse:
    """Tells a worker again about a pass that has failed, or stopped with its worker."""
    machine_labels.go_on(_find(experiment_id, labelling_id))
    return redirect("features:machine-labels", experiment_id)


def _find(experiment_id: int, labelling_id: int) -> MachineLabelling:
    return get_object_or_404(MachineLabelling, experiment=experiment_id, pk=labelling_id)
