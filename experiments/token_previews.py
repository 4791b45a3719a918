"""Makes a preview of tokens; runs in a worker, as the web process has no tokenizer and never goes online."""

from __future__ import annotations

import dataclasses

from django.utils import timezone

from experiments.engine.config import ExperimentConfig
from experiments.failures import explain
from experiments.models import TokenPreview
from experiments.services.folders import corpus_path
from experiments.services.language_models import model_path
from latentlens.lib.logs import get_logger

_log = get_logger(__name__)


def preview(preview_id: int) -> None:
    """Fills in the row: the first windows and what was sampled, or one sentence that says why there are none."""
    from experiments.engine.model_loading import open_tokenizer  # noqa: PLC0415 - imports torch
    from experiments.engine.preview import preview_tokens  # noqa: PLC0415 - imports transformers

    asked = TokenPreview.objects.select_related("corpus").filter(pk=preview_id).first()
    if asked is None:
        return
    config = ExperimentConfig.from_json(asked.config)
    try:
        tokenizer = open_tokenizer(config.model, model_path(config.model))
        made = preview_tokens(config, tokenizer, corpus_path(asked.corpus))
        asked.result, asked.error = dataclasses.asdict(made), ""
    except Exception as error:  # foreign files and a foreign server; the person gets one sentence
        _log.warning("no preview of tokens", corpus=asked.corpus_id, model=asked.model, exc_info=True)
        asked.result, asked.error = None, explain(error, "")
    asked.answered_at = timezone.now()
    asked.save()
