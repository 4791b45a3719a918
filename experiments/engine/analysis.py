"""Reading a prompt through a finished experiment: which features fire on which token, and what they do not explain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.config import ExperimentConfig, ModelConfig
from experiments.engine.kernels import SparseCode
from experiments.engine.language_model import LanguageModel
from experiments.engine.model_loading import open_language_model
from experiments.engine.sae import Sae, load_sae


class PromptError(ValueError):
    """A prompt that cannot be read; the message is one sentence for the person who typed it."""


@dataclass(frozen=True)
class FeatureActivation:
    """How strongly one feature, known by its index, fires on a token."""

    index: int
    activation: float


@dataclass(frozen=True)
class TokenReading:
    """One token of a prompt with its strongest features, strongest first; `active_count` is how many fire in all.

    `relative_error` is |x - x^| / |x|, the share of the hidden state's length that the features leave unexplained.
    Special tokens are not read: they have no features and no error.
    """

    position: int
    text: str
    special: bool
    features: tuple[FeatureActivation, ...]
    active_count: int
    relative_error: float | None


@dataclass(frozen=True)
class PromptReading:
    """A prompt as the model saw it, token by token."""

    tokens: tuple[TokenReading, ...]


# Several lenses on one model share it while any of them is in memory.
_open_models: WeakValueDictionary[tuple[object, ...], LanguageModel] = WeakValueDictionary()


class PromptLens:
    """The language model and the SAE of one experiment, kept in memory to read prompts."""

    def __init__(self, model: LanguageModel, sae: Sae) -> None:
        self._model, self._sae = model, sae
        self._texts = model.token_texts()

    @classmethod
    def load(
        cls,
        folder: ExperimentFolder,
        config: ExperimentConfig,
        *,
        model_path: str,
        revision: str | None = None,
        device: str = "cpu",
    ) -> PromptLens:
        """Loads the experiment in `folder`; `model_path` is its model's folder, or its id on the hub.

        `revision` is the commit of a hub model. Raises ModelRefused, HubError or ArtifactError with one sentence when
        the model or the SAE cannot be loaded.
        """
        sae = load_sae(folder, device)
        model_config = replace(config.model, revision=revision or config.model.revision)
        model = _opened(model_config, model_path, device)
        return cls(model, sae)

    @property
    def memory_bytes(self) -> int:
        return self._model.memory_bytes + sum(weight.nbytes for weight in self._sae.weights.present().values())

    @torch.no_grad()
    def read(self, text: str, top_k: int = 10) -> PromptReading:
        """Reads `text`, keeping the `top_k` strongest features of every token.

        Raises PromptError when the text is empty, holds no tokens, or has more than the model can read.
        """
        tokens, special = self._tokens_of(text)
        about = self._sae.description
        found = self._model.hidden_states(tokens[None], [about.place, about.output_place])
        states, targets = (windows[0][~special] for windows in found)  # [text tokens, width]
        code = self._sae.encode(states)
        errors = (targets - self._sae.decode(code, states)).norm(dim=1) / targets.norm(dim=1).clamp_min(1e-12)
        features = iter(zip(_strongest(code, top_k), code.per_token().tolist(), errors.tolist(), strict=True))
        readings = []
        for position, (token, is_special) in enumerate(zip(tokens.tolist(), special.tolist(), strict=True)):
            strongest, count, error = ((), 0, None) if is_special else next(features)
            readings.append(TokenReading(position, self._texts[token], is_special, strongest, count, error))
        return PromptReading(tuple(readings))

    def _tokens_of(self, text: str) -> tuple[Tensor, Tensor]:
        """The token ids [tokens] of a prompt in the model's own frame, and which of them are special."""
        if not text.strip():
            raise PromptError("The prompt is empty; type some text to read.")
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise PromptError("The prompt holds half of a surrogate pair, which is no character; type it again.")
        ids = self._model.tokenizer.encode([text])[0]
        frame, limit = self._model.tokenizer.frame, self._model.card.context_length
        count = len(frame.opening) + len(ids) + len(frame.closing)
        if count > limit:
            raise PromptError(f"The prompt has {count:,} tokens and the model reads at most {limit:,}; shorten it.")
        if not len(ids):
            raise PromptError("The model's vocabulary has no token for any part of this prompt.")
        special = torch.ones(count, dtype=torch.bool)
        special[len(frame.opening) : len(frame.opening) + len(ids)] = False
        return torch.tensor([*frame.opening, *ids, *frame.closing]), special


def _strongest(code: SparseCode, top_k: int) -> list[tuple[FeatureActivation, ...]]:
    """The firing features of every token, strongest first, at most `top_k`."""
    features, tokens, activations = code.to_numpy()
    order = np.lexsort((features, -activations, tokens))
    pairs = list(zip(features[order].tolist(), activations[order].tolist(), strict=True))
    return [
        tuple(FeatureActivation(*pair) for pair in pairs[start:stop][:top_k])
        for start, stop in pairwise(code.starts.tolist())
    ]


def _opened(config: ModelConfig, path: str, device: str) -> LanguageModel:
    key = (config, path, device)
    model = _open_models.get(key)
    if model is None:
        opening = open_language_model(config, path, device=device)
        while model is None:
            try:
                next(opening)  # nobody watches this download: the prompt waits for it
            except StopIteration as end:
                model = _open_models[key] = end.value
    return model
