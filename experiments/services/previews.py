"""Previews of tokens: asked for here, made by a worker, kept for whoever asks the same again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.engine.config import as_json
from experiments.models import TokenPreview
from experiments.services.configurations import LONGEST_NAME, Configuration, ExperimentRequest, configure
from experiments.services.language_models import ANSWER_PATIENCE
from experiments.tasks import preview_tokens
from latentlens.lib.problems import NotFound, refused_field

# The settings that its windows depend on.
READ = ("context_length", "packing", "streaming", "deduplicate")
KEPT_FOR = timedelta(days=7)


def request_of(asked: Mapping[str, Any]) -> ExperimentRequest:
    """From the model, the corpus and settings of READ, by name. Raises Refused for what makes no difference."""
    for name in asked.keys() - {"model", "revision", "corpus", *READ}:
        raise refused_field(name, f"A preview of tokens does not depend on “{name[:LONGEST_NAME]}”: leave it out.")
    return ExperimentRequest(**asked, layer=0)


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


def forget_previews() -> None:
    """Deletes what was asked for long ago; the text may have changed, and it is read again in a second."""
    TokenPreview.objects.filter(asked_at__lt=timezone.now() - KEPT_FOR).delete()


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
