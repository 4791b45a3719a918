"""Which language models can be chosen, and what is known about each of them before it is loaded.

A model is known by one string: `builtin`, `local:NAME` (a folder directly below MODELS_DIR) or `hub:ID`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import experiments.engine.builtin
from experiments.engine.config import SAFE_NAME, ModelConfig
from experiments.engine.model_card import ModelCard, ModelCardError, read_model_card
from experiments.models import HubModel
from experiments.tasks import describe_model
from latentlens.lib.problems import Refused, refused_field

BUILTIN_FOLDER = Path(experiments.engine.builtin.__file__).parent / "model"
# A question about a hub model that no worker has answered for this long is asked again.
ANSWER_PATIENCE = timedelta(seconds=60)
_SHAPE = "Choose builtin, the name of a folder in MODELS_DIR, or a hub id such as gpt2 or org/name (no path, no URL)."


@dataclass(frozen=True)
class ListedModel:
    """A model that is on this machine: its card, or the sentence that says why it cannot be used."""

    model: str
    title: str
    card: ModelCard | None
    problem: str = ""


def resolve_model(text: str, revision: str | None = None) -> ModelConfig:
    """The model that a person means by `text`; a bare name is the built-in one, else a local folder, else a hub id.

    Raises Refused for anything that is not a plain name, and for a local folder that is not there.
    """
    source, name = _split(text.strip())
    if source == "builtin":
        return ModelConfig("builtin", "builtin")
    _check_names(name, parts=2 if source == "hub" else 1)
    if source == "local":
        if not _local_folder(name).is_dir():
            raise refused_field("model", f"There is no folder “{name}” in the folder of local models (MODELS_DIR).")
        return ModelConfig("local", name)
    if revision and not SAFE_NAME.match(revision.replace("/", "-")):
        raise refused_field("revision", "A revision is a branch, a tag or a commit of the model on the hub.")
    return ModelConfig("hub", name, revision or None)


def model_path(model: ModelConfig) -> str:
    """What the engine loads: a folder, or the id of a hub model."""
    if model.source == "hub":
        return model.name
    return str(BUILTIN_FOLDER if model.source == "builtin" else _local_folder(model.name))


def list_models() -> list[ListedModel]:
    """The built-in model and every folder of MODELS_DIR that looks like a model, by name."""
    local = Path(settings.MODELS_DIR)
    folders = sorted(local.iterdir(), key=lambda folder: folder.name.lower()) if local.is_dir() else []
    names = [folder.name for folder in folders if SAFE_NAME.match(folder.name) and (folder / "config.json").is_file()]
    return [_listed(ModelConfig("builtin", "builtin")), *(_listed(ModelConfig("local", name)) for name in names)]


def model_card(model: ModelConfig) -> ModelCard | None:
    """What is known about `model`; None for a hub model that no worker has looked at yet.

    Raises Refused when it is known that the model cannot be used.
    """
    if model.source == "hub":
        return _hub_card(model)
    try:
        return read_model_card(Path(model_path(model)), model.canonical)
    except ModelCardError as error:
        raise refused_field("model", str(error)) from error


def ask_about(model: ModelConfig) -> HubModel:
    """Asks a worker to describe a hub model, unless it has been described or asked about just now."""
    described, created = HubModel.objects.get_or_create(hub_id=model.name, revision=model.revision or "")
    stale = described.asked_at < timezone.now() - ANSWER_PATIENCE
    if created or (stale and described.card is None):
        described.asked_at, described.answered_at, described.error = timezone.now(), None, ""
        described.save()
        transaction.on_commit(lambda: describe_model.apply_async((described.pk,), retry=False), robust=True)
    return described


def card_from_json(document: dict[str, Any]) -> ModelCard:
    """The inverse of `dataclasses.asdict` on a card, as it is kept in a row."""
    known = {field.name for field in dataclasses.fields(ModelCard)}
    values = {name: value for name, value in document.items() if name in known}
    return ModelCard(**values | {"block_parameters": tuple(values.get("block_parameters", ()))})


def _split(text: str) -> tuple[Literal["builtin", "local", "hub"], str]:
    if text == "builtin":
        return "builtin", text
    prefix, colon, name = text.partition(":")
    if colon:
        if prefix not in {"local", "hub"}:
            raise refused_field("model", _SHAPE)
        return ("local" if prefix == "local" else "hub"), name
    return ("local" if SAFE_NAME.match(text) and _local_folder(text).is_dir() else "hub"), text


def _check_names(name: str, parts: int) -> None:
    names = name.split("/")
    if len(names) > parts or not all(SAFE_NAME.match(part) and ".." not in part for part in names):
        raise refused_field("model", _SHAPE)


def _local_folder(name: str) -> Path:
    return Path(settings.MODELS_DIR) / name


def _listed(model: ModelConfig) -> ListedModel:
    title = "Built-in model" if model.source == "builtin" else model.name
    try:
        return ListedModel(model.canonical, title, model_card(model))
    except Refused as refusal:
        return ListedModel(model.canonical, title, None, refusal.message)


def _hub_card(model: ModelConfig) -> ModelCard | None:
    described = HubModel.objects.filter(hub_id=model.name, revision=model.revision or "").first()
    if described is None or described.answered_at is None:
        return None
    if described.card is None:
        raise refused_field("model", described.error)
    return card_from_json(described.card)
