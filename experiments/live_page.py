"""The experiment page in parts. A part is rendered by the page, returned to htmx, and pushed over the WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.template.loader import render_to_string
from django.urls import reverse

from experiments.configuration_facts import explorer_values, facts_of
from experiments.curves import metric_event
from experiments.engine.config import SETTINGS
from experiments.models import Experiment, Metric
from experiments.quality_card import quality_card
from experiments.services.estimates import memory_use
from experiments.services.workers import worker_is_alive

Status = Experiment.Status
LIVE_PARTS = ("_experiment_header", "_experiment_progress", "_experiment_quality")
ENDED = (Status.FINISHED, Status.FAILED, Status.CANCELLED)
_CHIPS = {
    Status.QUEUED: "chip--accent",
    Status.RUNNING: "chip--live",
    Status.PAUSED: "chip--warn",
    Status.FINISHED: "chip--good",
    Status.FAILED: "chip--bad",
    Status.CANCELLED: "",
}


@dataclass(frozen=True)
class StageState:
    """One stage in the row of stages: done, now, later, or bad."""

    title: str
    state: str


def row_context(experiment: Experiment) -> dict[str, Any]:
    """What a row of the list shows: quality at a glance, or how far it is."""
    return {
        "experiment": experiment,
        "status_chip": status_chip(experiment),
        "percent": percent_done(experiment),
        "has_k": experiment.architecture in SETTINGS["k"].architectures,
        "has_penalty": experiment.architecture in SETTINGS["sparsity_coefficient"].architectures,
        "concepts": (experiment.quality.get("concepts") or {}).get("set_share_f1_80"),
    }


def stage_states(experiment: Experiment) -> list[StageState]:
    """All stages of an experiment; an ended one is marked where it ended."""
    stages = [stage for stage in Experiment.Stage if stage != Experiment.Stage.TRAINING or not experiment.is_imported]
    finished = experiment.status == Status.FINISHED
    # What is not shown (an import is not trained) is part of what comes before it.
    now = Experiment.Stage(experiment.stage) if experiment.stage else None
    here = stages.index(now if now in stages else Experiment.Stage.CAPTURE) if now else len(stages) if finished else -1
    ended_badly = experiment.status in {Status.FAILED, Status.CANCELLED}
    state = "bad" if ended_badly else "now"
    return [
        StageState(stage.label, "done" if place < here else state if place == here else "later")
        for place, stage in enumerate(stages)
    ]


def live_context(experiment: Experiment) -> dict[str, Any]:
    """What the live parts show."""
    return {
        "experiment": experiment,
        "status_chip": status_chip(experiment),
        "stages": stage_states(experiment),
        "percent": percent_done(experiment),
        "ahead": _ahead(experiment),
        "worker_is_missing": experiment.status == Status.QUEUED and not worker_is_alive("experiments"),
        "worker": experiment.owner.rpartition(":")[0],
        "quality": quality_card(experiment),
        "repeat_url": repeat_url(experiment),
        "fine_tune_url": fine_tune_url(experiment),
    }


def page_context(experiment: Experiment) -> dict[str, Any]:
    """What the page shows beside the live parts: the configuration, which never changes."""
    return (
        live_context(experiment)
        | facts_of(experiment)
        | {"memory": memory_use(experiment), "is_watched": experiment.status not in ENDED}
    )


def live_parts(experiment: Experiment) -> dict[str, str]:
    """Every live part by its name, rendered."""
    context = live_context(experiment)
    return {part: render_to_string(f"experiments/{part}.html", context) for part in LIVE_PARTS}


def new_points(metrics: Iterable[Metric]) -> str:
    """The element that hands new metrics to the curves of the page."""
    points = points_json([metric_event(metric) for metric in metrics])
    return render_to_string("experiments/_metric_points.html", {"points": points})


def points_json(points: Sequence[dict[str, Any]]) -> str:
    return json.dumps(points, separators=(",", ":"))


def status_chip(experiment: Experiment) -> str:
    """The class of the chip that shows the status."""
    return _CHIPS[Status(experiment.status)]


def percent_done(experiment: Experiment) -> int | None:
    """How far the present stage is; None when that is not known."""
    return min(100, 100 * experiment.step // experiment.steps) if experiment.steps else None


def repeat_url(experiment: Experiment) -> str:
    """The Layer Explorer, filled in with the settings of this experiment."""
    return f"{reverse('experiments:new')}?{urlencode(explorer_values(experiment))}"


def fine_tune_url(experiment: Experiment) -> str:
    """The Layer Explorer, filled in with the settings of this experiment, whose SAE is to be trained further.

    But for its learning rate: what a training from nothing takes would undo a good part of what was learned.
    """
    said = explorer_values(experiment) | {"start_from": experiment.pk}
    said.pop("learning_rate", None)
    return f"{reverse('experiments:new')}?{urlencode(said)}"


def _ahead(experiment: Experiment) -> int:
    """How many experiments are served before this one."""
    if experiment.status != Status.QUEUED:
        return 0
    return Experiment.objects.filter(status__in=(Status.QUEUED, Status.RUNNING), pk__lt=experiment.pk).count()
