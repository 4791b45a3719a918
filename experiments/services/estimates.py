"""What an experiment would need, before it starts, and the refusal of what this machine cannot hold."""

from __future__ import annotations

from experiments.engine.config import ConfigError, ExperimentConfig
from experiments.engine.estimate import Estimate, estimate, refuse_if_too_large
from experiments.engine.model_card import ModelCard
from experiments.services.compute import cpu_threads, memory_bytes
from latentlens.lib.problems import Refused


def estimate_of(config: ExperimentConfig, card: ModelCard | None) -> Estimate | None:
    """Memory, disk and time on a machine like this one; None while the model's size is not known."""
    return estimate(config, card, cpu_threads()) if card else None


def refuse_what_does_not_fit(config: ExperimentConfig, card: ModelCard | None) -> None:
    """Raises Refused, with the estimate in its sentence, for more memory than this machine has."""
    needed = estimate_of(config, card)
    if needed is None:
        return
    try:
        refuse_if_too_large(needed, memory_bytes())
    except ConfigError as error:
        raise Refused(str(error), {error.field: str(error)}) from error
