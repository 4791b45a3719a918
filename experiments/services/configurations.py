"""From what a person asks for to what the engine is told: every value checked, every mistake beside its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.conf import settings

from experiments.engine.config import (
    ARCHITECTURES,
    SETTINGS,
    ConfigError,
    ExperimentConfig,
    ModelConfig,
    config_with,
    default_batch_tokens,
    default_learning_rate,
    validate,
)
from experiments.engine.model_card import ModelCard
from experiments.models import Corpus
from experiments.services.corpora import corpus_by_reference, corpus_config
from experiments.services.fine_tuning import refuse_another_kind, start_of
from experiments.services.language_models import ask_about, model_card, resolve_model
from experiments.services.typed_settings import Raw, is_empty, parse_setting
from latentlens.lib.problems import Refused, refused_field
from latentlens.lib.text import clean_name

DEFAULT_CONTEXT_LENGTH = 128
LONGEST_NAME = 40


def default_values() -> dict[str, Any]:
    """What every setting is where it is left out; None for those that follow from others or have to be given."""
    fixed = {name: setting.default for name, setting in SETTINGS.items() if not setting.left_out}
    chosen_here = {"n_features": int(settings.SAE_HIDDEN_DIM), "sparsity_coefficient": settings.SPARSITY_COEFFICIENT}
    return dict.fromkeys(SETTINGS) | fixed | chosen_here


class ExperimentRequest:
    """An experiment as a person asks for it: by page, API or command. `corpus` is an id or "builtin".

    `start_from` is the id of a finished experiment whose SAE is trained further. `settings` are by
    the names of SETTINGS, each a value or the text that was typed; `configure` refuses what makes no sense and fills in
    what is empty or left out, the name too.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        revision: str = "",
        corpus: int | str = "builtin",
        start_from: float | str | None = None,
        **settings: Raw,
    ) -> None:
        self.model, self.name, self.revision, self.corpus = model, name, revision, corpus
        self.start_from = start_from
        self.settings: dict[str, Raw] = settings


@dataclass(frozen=True)
class Configuration:
    """A request that makes sense. `card` is None while no worker has described the hub model yet."""

    name: str
    config: ExperimentConfig
    corpus: Corpus
    card: ModelCard | None


def configure(request: ExperimentRequest) -> Configuration:
    """Turns a request into a configuration. Raises Refused with a sentence for every field that is wrong."""
    form = _Checklist()
    name = form.check(lambda: clean_name(request.name, field="name") if request.name.strip() else "")
    model = form.check(lambda: resolve_model(request.model, request.revision.strip() or None))
    corpus = form.check(lambda: corpus_by_reference(request.corpus))
    card = form.check(lambda: known_card(model)) if model else None
    start = form.check(lambda: start_of(request.start_from))
    values = form.check_settings(request.settings)
    form.raise_mistakes()
    filled = _filled_in(values, card, begins_anew=start is None)
    config = replace(config_with(model, corpus_config(corpus), filled), start=start)
    check_against_card(config, card)
    refuse_another_kind(config, card)
    if config.packing == "across_documents":
        _refuse_short_corpus(corpus, config.context_length)
    return Configuration(name or suggested_name(config), config, corpus, card)


def known_card(model: ModelConfig) -> ModelCard | None:
    """The model's card; where it has to be fetched from the hub, a worker is asked to do that."""
    card = model_card(model)
    if card is None:
        ask_about(model)
    return card


def middle_layer(model: str, revision: str = "") -> int:
    """The layer to begin with when none was chosen. Raises Refused for a model that is not known well enough."""
    card = known_card(resolve_model(model, revision or None))
    if card is None:
        raise refused_field("layer", "Choose a layer: this model on the hub has not been looked at yet.")
    return card.layers // 2


def check_against_card(config: ExperimentConfig, card: ModelCard | None) -> None:
    """Refuses what cannot be run. Without a card the worker judges what depends on the model, before it downloads."""
    try:
        validate(config, card)
    except ConfigError as error:
        raise Refused(str(error), {error.field: str(error)}) from error


def suggested_name(config: ExperimentConfig) -> str:
    """For example "gpt2 · layer 6 · TopK 24,576", or "... · TopK transcoder 24,576"."""
    kind = ARCHITECTURES[config.sae.architecture].title + (" transcoder" if config.sae.is_transcoder else "")
    return f"{config.model.name} · layer {config.layer} · {kind} {config.sae.n_features:,}"


class _Checklist:
    """Goes on after a mistake, so that one answer names all of them."""

    def __init__(self) -> None:
        self._mistakes: dict[str, str] = {}

    def check(self, step: Callable[[], Any]) -> Any:
        """The step's result, or None with its mistakes noted."""
        try:
            return step()
        except Refused as refusal:
            self._mistakes |= refusal.fields
            return None

    def check_settings(self, given: Mapping[str, Raw]) -> dict[str, Any]:
        """The value of every setting that was given; what was left empty is not among them."""
        for unknown in sorted(given.keys() - SETTINGS.keys()):
            self._mistakes[unknown] = f"There is no setting “{unknown[:LONGEST_NAME]}”."
        asked = [setting for name, setting in SETTINGS.items() if setting.is_required or not is_empty(given.get(name))]
        return {setting.name: self.check(partial(parse_setting, setting, given.get(setting.name))) for setting in asked}

    def raise_mistakes(self) -> None:
        if self._mistakes:
            raise Refused(" ".join(dict.fromkeys(self._mistakes.values())), self._mistakes)


def _filled_in(values: Mapping[str, Any], card: ModelCard | None, *, begins_anew: bool) -> dict[str, Any]:
    """The values with the defaults that this installation has, and those that follow from the model and each other.

    What is trained further has no rate of its own here: the published one, which is low, keeps what was learned.
    """
    filled = default_values() | dict(values)
    if filled["context_length"] is None:
        readable = card.context_length if card else DEFAULT_CONTEXT_LENGTH
        filled["context_length"] = min(DEFAULT_CONTEXT_LENGTH, readable)
    if filled["batch_tokens"] is None:
        filled["batch_tokens"] = default_batch_tokens(filled["training_tokens"])
    if filled["learning_rate"] is None and begins_anew:
        steps = filled["training_tokens"] // filled["batch_tokens"]
        filled["learning_rate"] = default_learning_rate(steps, filled["n_features"])
    return filled


def _refuse_short_corpus(corpus: Corpus, context_length: int) -> None:
    """A token takes at least one of the at most four bytes of a character, and each document adds at most two special
    ones: fewer cannot fill a window. The size of the file says nothing, as it may be packed."""
    if corpus.characters is None or 4 * corpus.characters + 2 * (corpus.documents or 0) >= context_length:
        return
    sentence = (
        f"This corpus is shorter than one window: it has {corpus.characters:,} characters, and a window has "
        f"{context_length:,} tokens. Use more text."
    )
    raise Refused(sentence, {"corpus": sentence})
