"""Experiments that start from the SAE of a finished one: which can, judged before a worker has anything to do."""

from __future__ import annotations

import json

from experiments.engine.config import ARCHITECTURES, ExperimentConfig, StartConfig
from experiments.engine.model_card import ModelCard
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import refused_field

FIELD = "start_from"
LARGEST_ID = 999_999_999


def start_of(reference: int | float | str | None) -> StartConfig | None:
    """The SAE of the finished experiment `reference`, an id; None where there is no start. Raises Refused."""
    if reference is None or reference == "":
        return None
    number = parse_integer(reference, field=FIELD, minimum=1, maximum=LARGEST_ID)
    experiment = Experiment.objects.filter(pk=number).first()
    if experiment is None:
        raise refused_field(FIELD, f"There is no experiment {number} to start from.")
    if experiment.status != Experiment.Status.FINISHED:
        state = experiment.get_status_display().lower()
        raise refused_field(FIELD, f"Experiment {number} is {state}; only a finished one can be started from.")
    return StartConfig(number, experiment.weights_sha256)


def refuse_another_kind(config: ExperimentConfig, card: ModelCard | None) -> None:
    """Raises Refused where the SAE that `config` starts from has another shape than the one that it asks for."""
    if config.start is None:
        return
    start, sae = Experiment.objects.get(pk=config.start.experiment), config.sae
    if (start.architecture, start.n_features) != (sae.architecture, sae.n_features):
        kind = ARCHITECTURES[start.architecture].title if start.architecture in ARCHITECTURES else start.architecture
        raise refused_field(
            FIELD,
            f"Experiment {start.pk} is a {kind} SAE with {start.n_features:,} features; what starts from it must have "
            "the same architecture and as many features.",
        )
    has_skip = bool(start.config.get("sae", {}).get("skip"))
    if has_skip != sae.skip:
        has, asked = ("a", "has one, too") if has_skip else ("no", "has none")
        raise refused_field(
            FIELD, f"The SAE of experiment {start.pk} has {has} skip connection; what starts from it {asked}."
        )
    width = _width_of(start)
    # The heads' outputs side by side may be wider than the model; the worker looks there.
    if card is not None and width is not None and config.site != "attn_heads" and width != card.width:
        raise refused_field(
            FIELD,
            f"The SAE of experiment {start.pk} reads hidden states of {width:,} numbers; those of this model have "
            f"{card.width:,}.",
        )


def _width_of(experiment: Experiment) -> int | None:
    try:
        width = json.loads(experiment_folder(experiment.pk).sae_config.read_text("utf-8"))["width"]
    except (OSError, ValueError, KeyError):
        return None  # the worker says what is wrong with the files
    return int(width)
