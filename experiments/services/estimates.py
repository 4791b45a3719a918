"""What an experiment would need, before it starts, and the refusal of what this machine cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.engine.config import ConfigError, ExperimentConfig
from experiments.engine.estimate import Estimate, estimate, memory_side_by_side, refuse_if_too_large
from experiments.engine.machine import cpu_threads, memory_bytes
from experiments.engine.model_card import ModelCard
from experiments.models import Experiment
from experiments.services.language_models import model_card
from latentlens.lib.problems import Refused


def estimate_of(config: ExperimentConfig, card: ModelCard | None) -> Estimate | None:
    """Memory, disk and time on a machine like this one; None while the model's size is not known."""
    return estimate(config, card, cpu_threads()) if card else None


@dataclass(frozen=True)
class MemoryUse:
    """The forecast of an experiment beside what its stages were measured to take; None where one is not known.

    Where `experiments` were trained side by side by one process, both are of all of them together.
    """

    path: str
    measured_bytes: int
    gpu_bytes: int | None
    forecast_bytes: int | None
    experiments: int


def memory_use(experiment: Experiment) -> MemoryUse | None:
    """The largest of what was measured; None before the first stage has ended."""
    stages = list(experiment.resources.values())
    if not stages:
        return None
    on_gpu = [stage["gpu_memory_bytes"] for stage in stages if stage["gpu_memory_bytes"] is not None]
    largest = max(stages, key=lambda stage: stage["memory_bytes"])
    together = largest.get("experiments", 1)
    return MemoryUse(
        path=stages[-1]["path"],
        measured_bytes=largest["memory_bytes"],
        gpu_bytes=max(on_gpu, default=None),
        forecast_bytes=_forecast_of(_side_by_side(experiment) if together > 1 else [experiment]),
        experiments=together,
    )


def _side_by_side(experiment: Experiment) -> list[Experiment]:
    return list(Experiment.objects.filter(sweep=experiment.sweep_id)) if experiment.sweep_id else [experiment]


def _forecast_of(experiments: Sequence[Experiment]) -> int | None:
    configs = [ExperimentConfig.from_json(experiment.config) for experiment in experiments]
    try:
        card = model_card(configs[0].model)
    except Refused:  # the model is no longer there
        return None
    return memory_side_by_side(configs, card) if card else None


def refuse_what_does_not_fit(config: ExperimentConfig, card: ModelCard | None) -> None:
    """Raises Refused, with the estimate in its sentence, for more memory than this machine has."""
    needed = estimate_of(config, card)
    if needed is None:
        return
    try:
        refuse_if_too_large(needed, memory_bytes())
    except ConfigError as error:
        raise Refused(str(error), {error.field: str(error)}) from error


def refuse_what_does_not_fit_together(configs: Sequence[ExperimentConfig], card: ModelCard | None) -> None:
    """The same for experiments that are trained side by side."""
    if card is None:
        return
    needed, available = memory_side_by_side(configs, card), memory_bytes()
    if needed > available:
        sentence = (
            f"Side by side these {len(configs)} experiments would need about {needed / 1e9:,.1f} GB of memory and "
            f"{available / 1e9:,.1f} GB are available; choose fewer values, fewer features or a smaller model."
        )
        raise Refused(sentence, {"n_features": sentence})
