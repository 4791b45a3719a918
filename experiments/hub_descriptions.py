"""Finds out what a model on the hub is, without its weights; runs in a worker, as the web process never goes online."""

from __future__ import annotations

import dataclasses

from django.utils import timezone

from experiments.engine.config import ExperimentConfig
from experiments.failures import explain
from experiments.models import HubModel
from experiments.services.configurations import check_against_card
from experiments.services.estimates import refuse_what_does_not_fit
from experiments.services.language_models import model_card
from latentlens.lib.logs import get_logger

_log = get_logger(__name__)


def describe(hub_model_id: int) -> None:
    """Fills in the row: the card, or one sentence that says why there is none."""
    from experiments.engine.hub import describe_model  # noqa: PLC0415 - imports huggingface_hub

    asked = HubModel.objects.filter(pk=hub_model_id).first()
    if asked is None:
        return
    try:
        found = describe_model(asked.hub_id, asked.revision or None)
        asked.commit, asked.card, asked.error = found.commit, dataclasses.asdict(found.card), ""
    except Exception as error:  # a foreign server and foreign files; the person gets one sentence
        _log.warning("hub model not described", model=asked.hub_id, exc_info=True)
        asked.card, asked.error = None, explain(error, "")
    asked.answered_at = timezone.now()
    asked.save()


def check_hub_model(config: ExperimentConfig) -> None:
    """Judges an experiment that was accepted before anybody knew its model. Raises Refused."""
    if config.model.source != "hub":
        return
    asked, _ = HubModel.objects.get_or_create(hub_id=config.model.name, revision=config.model.revision or "")
    if asked.card is None:
        describe(asked.pk)
    card = model_card(config.model)
    check_against_card(config, card)
    refuse_what_does_not_fit(config, card)
