"""What was planted in an experiment's harvested text; for workers, as it needs the model's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.engine.config import ExperimentConfig
from experiments.failures import explain
from experiments.models import Experiment
from experiments.services.language_models import model_path
from latentlens.lib.logs import get_logger

_log = get_logger(__name__)


def planted_in(
    experiment: Experiment, documents: Sequence[tuple[int, int, NDArray[np.integer]]]
) -> dict[str, NDArray[np.int64]]:
    """The positions that carry each planted concept, of documents as (number, first position, token ids).

    Empty where it cannot be said: another corpus, another version of it, or a tokenizer that is gone.
    """
    from experiments.engine.model_loading import open_tokenizer  # noqa: PLC0415 - imports torch
    from experiments.engine.planted_text import HarvestedDocument, planted_positions  # noqa: PLC0415 - transformers

    config = ExperimentConfig.from_json(experiment.config)
    if config.corpus.source != "builtin":
        return {}
    try:
        tokenizer = open_tokenizer(config.model, model_path(config.model))
        return planted_positions(tokenizer, [HarvestedDocument(*document) for document in documents])
    except Exception as error:  # foreign files and a foreign server
        _log.warning("planted concepts are unknown", experiment=experiment.pk, reason=explain(error, ""), exc_info=True)
        return {}
