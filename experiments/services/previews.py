"""Previews of tokens: asked for here, made by a worker, kept for whoever asks the same again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from experiments.engine.config import as_json
from experiments.models import TokenPreview
from experiments.services.configurations import Configuration, ExperimentRequest, configure
from experiments.services.language_models import ANSWER_PATIENCE
from experiments.tasks import preview_tokens
from latentlens.lib.problems import NotFound


def ask_for_preview(request: ExperimentRequest) -> TokenPreview:
    """The preview of what an experiment would read; a worker is asked unless it is known. Raises Refused."""
    configuration = configure(request)
    config = configuration.config
    asked, created = TokenPreview.objects.get_or_create(
        key=_key(configuration),
        defaults={"corpus": configuration.corpus, "model": config.model.canonical, "config": as_json(config)},
    )
    failed = asked.answered_at is not None and asked.result is None
    forgotten = asked.answered_at is None and asked.asked_at < timezone.now() - ANSWER_PATIENCE
    if created or failed or forgotten:
        asked.asked_at, asked.answered_at, asked.error = timezone.now(), None, ""
        asked.save()
        transaction.on_commit(lambda: preview_tokens.apply_async((asked.pk,), retry=False), robust=True)
    return asked


def preview_by_id(preview_id: int) -> TokenPreview:
    """Raises NotFound."""
    found = TokenPreview.objects.select_related("corpus").filter(pk=preview_id).first()
    if found is None:
        raise NotFound(f"There is no preview {preview_id}.")
    return found


def _key(configuration: Configuration) -> str:
    """Two requests that would show the same windows have the same key."""
    config = configuration.config
    parts = [
        asdict(config.model),
        configuration.corpus.pk,
        asdict(config.corpus),
        config.context_length,
        config.packing,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
