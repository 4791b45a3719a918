"""Sweeps: lists of values become experiments that share one capture pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from experiments.engine.config import ARCHITECTURES, SETTINGS
from experiments.models import Experiment, Sweep
from experiments.services.configurations import Configuration, ExperimentRequest, configure
from experiments.services.estimates import refuse_what_does_not_fit_together
from experiments.services.experiments import (
    cancel_experiment,
    pause_experiment,
    resume_experiment,
    store_configuration,
)
from experiments.services.queue import enqueue
from experiments.services.typed_settings import LISTED, several
from latentlens.lib.problems import Conflict, NotFound, Refused, refused_field
from latentlens.lib.text import clean_name

MOST_EXPERIMENTS = 64
LONGEST_NAME = 200
Status = Experiment.Status


@dataclass(frozen=True)
class SweepRequest:
    """A sweep as a person asks for it: what all experiments share, as for one, and for settings of LISTED the values.

    A list may be text as it was typed, "16, 32, 64". Every value is combined with every one of the other lists.
    """

    shared: Mapping[str, Any]
    lists: Mapping[str, str | Sequence[Any]] = field(default_factory=dict)
    name: str = ""


def request_of(asked: Mapping[str, Any]) -> SweepRequest:
    """From all that was asked for, by name: settings that may have several values are lists, the rest is shared."""
    lists = {name: value for name, value in asked.items() if name in LISTED and value not in (None, "")}
    shared = {name: value for name, value in asked.items() if name not in LISTED and name != "name"}
    return SweepRequest(shared, lists, asked.get("name") or "")


def create_sweep(request: SweepRequest) -> Sweep:
    """Checks the request, stores the sweep and queues its experiments. Raises Refused with a sentence per field."""
    sweep = store_sweep(request, Status.QUEUED)
    for experiment in members_of(sweep):
        enqueue(experiment.pk)
    return sweep


def store_sweep(request: SweepRequest, status: str) -> Sweep:
    """The rows of a new sweep. `paused` keeps them away from the workers, for whoever will claim them right after."""
    lists = listed_values(request.lists)
    members = configurations(request)
    first = members[0]
    refuse_what_does_not_fit_together([member.config for member in members], first.card)
    varied = [setting for setting in LISTED if len(lists.get(setting, ())) > 1]
    given = clean_name(request.name, field="name") if request.name.strip() else ""
    name = given or _suggested_name(members, varied)
    with transaction.atomic():
        asked = {**request.shared, **lists, "name": name}
        sweep = Sweep.objects.create(name=name, request=asked)
        for member in members:
            title = " · ".join([given or member.name, *_words_for(member, varied, bool(given))])[:LONGEST_NAME]
            store_configuration(replace(member, name=title), status, sweep=sweep)
    return sweep


def configurations(request: SweepRequest) -> list[Configuration]:
    """One configuration for each combination that differs in something that matters. Raises Refused."""
    found: list[Configuration] = []
    mistakes: dict[str, str] = {}
    combinations = list(_combinations(listed_values(request.lists)))
    if len(combinations) > MOST_EXPERIMENTS:
        sentence = f"These are {len(combinations):,} experiments; a sweep has at most {MOST_EXPERIMENTS}."
        raise Refused(sentence)
    for combination in combinations:
        try:
            found.append(configure(ExperimentRequest(**{**request.shared, **combination})))
        except Refused as refusal:
            mistakes = refusal.fields | mistakes
    if mistakes:
        raise Refused(" ".join(dict.fromkeys(mistakes.values())), mistakes)
    order = found[0].config.order_seed
    return [replace(member, config=replace(member.config, stream_seed=order)) for member in found]


def listed_values(lists: Mapping[str, str | Sequence[Any]]) -> dict[str, list[Any]]:
    """The values of every list, without repetitions. Raises Refused for a setting that cannot have several values."""
    for name in lists:
        if name not in LISTED:
            raise refused_field(name, f"Only {', '.join(LISTED)} can have several values.")
    values = {name: several(given) for name, given in lists.items()}
    for name, found in values.items():
        if not all(isinstance(value, str | int | float) for value in found):
            raise refused_field(name, f"The values of {name} must be numbers or names.")
    return {name: list(dict.fromkeys(found)) for name, found in values.items() if found}


def sweep_by_id(sweep_id: int) -> Sweep:
    """Raises NotFound."""
    sweep = Sweep.objects.filter(pk=sweep_id).first()
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id}.")
    return sweep


def members_of(sweep: Sweep) -> QuerySet[Experiment]:
    """The experiments of a sweep, in the order of their values."""
    return sweep.experiments.select_related("corpus").order_by("pk")


def seed_twins(members: Iterable[Experiment]) -> tuple[Experiment, Experiment] | None:
    """The first two finished experiments that differ in nothing but their seed."""
    first_with: dict[str, Experiment] = {}
    for member in members:
        if member.status == Status.FINISHED:
            rest = {name: value for name, value in member.config.items() if name != "seed"}
            twin = first_with.setdefault(json.dumps(rest, sort_keys=True), member)
            if twin.seed != member.seed:
                return twin, member
    return None


def sweeps_with_counts() -> QuerySet[Sweep]:
    """Sweeps with the numbers of their experiments: all, and those that are finished."""
    finished = Count("experiments", filter=Q(experiments__status=Status.FINISHED))
    return Sweep.objects.annotate(experiment_count=Count("experiments"), finished_count=finished)


def cancel_sweep(sweep_id: int) -> Sweep:
    """Ends for good what has not ended of a sweep. Raises NotFound, and Conflict when all of it has."""
    return _change_each(sweep_id, cancel_experiment, "cancelled")


def pause_sweep(sweep_id: int) -> Sweep:
    """Stops all of a sweep that waits or runs, each at a checkpoint. Raises NotFound, Conflict when nothing does."""
    return _change_each(sweep_id, pause_experiment, "paused")


def resume_sweep(sweep_id: int) -> Sweep:
    """Queues all that is paused or failed; what is untrained of it shares a pass again. Raises NotFound, Conflict."""
    return _change_each(sweep_id, resume_experiment, "resumed")


def _change_each(sweep_id: int, change: Callable[[int], Experiment], verb: str) -> Sweep:
    """Changes every experiment that can be changed so, in one transaction: a worker finds all of them or none."""
    sweep, changed = sweep_by_id(sweep_id), 0
    with transaction.atomic():
        for experiment_id in members_of(sweep).values_list("pk", flat=True):
            with suppress(Conflict):
                change(experiment_id)
                changed += 1
    if not changed:
        raise Conflict(f"No experiment of this sweep can be {verb} now.")
    return sweep


def _combinations(lists: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination once; a setting that does not matter for its architecture does not make another experiment."""
    seen: set[tuple[Any, ...]] = set()
    for values in product(*lists.values()):
        combination = dict(zip(lists, values, strict=True))
        for name in combination:
            if not _matters(name, combination.get("architecture")):
                combination[name] = lists[name][0]
        if (key := tuple(combination.values())) not in seen:
            seen.add(key)
            yield combination


def _matters(name: str, architecture: Any) -> bool:
    needed = SETTINGS[name].architectures
    return not needed or architecture not in ARCHITECTURES or architecture in needed


def _suggested_name(members: Sequence[Configuration], varied: Sequence[str]) -> str:
    """For example "gpt2 · 6 experiments over k, seed"."""
    titles = ", ".join(SETTINGS[name].title.lower() for name in varied)
    count = f"{len(members)} experiment{'s' if len(members) > 1 else ''}"
    return f"{members[0].config.model.name} · {count}{f' over {titles}' if titles else ''}"


def _words_for(member: Configuration, varied: Iterable[str], in_full: bool) -> Iterator[str]:
    """What sets a member apart, "k 16", "seed 1"; without what its own suggested name says, unless `in_full`."""
    config = member.config
    words = {
        "k": f"k {config.sae.k}",
        "sparsity_coefficient": f"sparsity {config.sae.sparsity_coefficient:g}",
        "seed": f"seed {config.seed}",
    }
    if in_full:
        words |= {
            "architecture": ARCHITECTURES[config.sae.architecture].title,
            "layer": f"layer {config.layer}",
            "n_features": f"{config.sae.n_features:,} features",
        }
    return (words[name] for name in varied if name in words and _matters(name, config.sae.architecture))
