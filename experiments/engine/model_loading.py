"""Loading a language model from its folder: safetensors only, no code but that of transformers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
)
from transformers.utils import logging

from experiments.engine.block_list import ModelRefused
from experiments.engine.config import ModelConfig
from experiments.engine.hub import fetch_model, fetch_tokenizer
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_card import Kind, ModelCardError, Weights, read_model_card
from experiments.engine.records import Progress
from experiments.engine.text_tokenizer import TextTokenizer, load_tokenizer

# Layers that some encoders have behind their last block; no hidden state of a token goes through them.
AFTER_THE_BLOCKS = ("pooler",)


def open_language_model(
    model: ModelConfig, path: str, *, device: str = "cpu"
) -> Generator[Progress, None, LanguageModel]:
    """Loads the model that a config names; `path` is its folder, or its id on the hub, where it is fetched first.

    Yields Progress while it is fetched. Raises ModelRefused, and HubError when the hub fails.
    """
    name = "The built-in model" if model.source == "builtin" else model.name
    folder, commit = Path(path), model.revision
    if model.source == "hub":
        fetched = yield from fetch_model(path, model.revision)
        folder, commit = fetched.folder, fetched.commit
    return load_language_model(folder, name=name, revision=commit, device=device, dtype=model.dtype)


def open_tokenizer(model: ModelConfig, path: str) -> TextTokenizer:
    """The tokenizer of the model that a config names, without its weights. Raises ModelRefused and HubError."""
    name = "The built-in model" if model.source == "builtin" else model.name
    folder = fetch_tokenizer(path, model.revision).folder if model.source == "hub" else Path(path)
    try:
        stated = read_model_card(folder, name, Weights(None, 0)).kind
    except ModelCardError as error:
        raise ModelRefused(str(error)) from error
    return load_tokenizer(folder, name, _kind_of(folder, name, stated))


def load_language_model(
    folder: Path,
    *,
    name: str | None = None,
    revision: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> LanguageModel:
    """Loads the model and the tokenizer in `folder`, called `name` in messages or else as the folder is.

    Raises ModelRefused with one sentence when the folder is no model, its weights are not safetensors or incomplete, it
    needs code of its own, transformers does not know its family, it does not fit, or its blocks cannot be found.
    """
    name = name or folder.name
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        card = read_model_card(folder, name)
    except ModelCardError as error:
        raise ModelRefused(str(error)) from error
    kind = _kind_of(folder, name, card.kind)
    module, has_head = _load_weights(folder, name, kind, dtype)
    module = _moved(module.eval().requires_grad_(False), device, name)
    tokenizer = load_tokenizer(folder, name, kind)
    return LanguageModel(module, tokenizer, replace(card, kind=kind), revision, has_head=has_head)


def _kind_of(folder: Path, name: str, stated: Kind) -> Kind:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a foreign config makes the library raise, the person gets one sentence
        raise ModelRefused(
            f"The installed transformers does not know the family of {name}, or the model needs its own Python code, "
            "which is never run."
        ) from error
    if stated != "unknown":
        return stated
    return "encoder" if type(config) in MODEL_FOR_MASKED_LM_MAPPING else "causal"


def _load_weights(folder: Path, name: str, kind: Kind, dtype: str) -> tuple[nn.Module, bool]:
    """The model with its language-model head, or without one when the weights do not hold it."""
    with_head = AutoModelForMaskedLM if kind == "encoder" else AutoModelForCausalLM
    missing: list[str] = []
    for auto_class in (with_head, AutoModel):
        try:
            module, report = _from_pretrained(auto_class, folder, dtype)
        except Exception as error:  # as above: a foreign file, one sentence
            refusal = ModelRefused(f"The weights of {name} cannot be loaded ({type(error).__name__}).")
            refusal.__cause__ = error
            continue
        missing = sorted(key for key in report["missing_keys"] if not key.startswith(AFTER_THE_BLOCKS))
        if not missing:
            return module, auto_class is with_head
        refusal = ModelRefused(f"The weights of {name} are incomplete: {missing[0]} is not in its files.")
    raise refusal


def _from_pretrained(auto_class: Any, folder: Path, dtype: str) -> tuple[nn.Module, dict[str, Any]]:
    module, report = auto_class.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    return module, report


def _moved(module: nn.Module, device: str, name: str) -> nn.Module:
    try:
        return module.to(device)
    except torch.OutOfMemoryError as error:
        raise ModelRefused(f"{name} does not fit into the memory of the device {device}.") from error
