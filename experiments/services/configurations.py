"""From what a person asks for to what the engine is told: every value checked, every mistake beside its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from django.conf import settings

from experiments.engine.config import (
    ARCHITECTURES,
    BOUNDS,
    PACKINGS,
    SITES,
    Choice,
    ConfigError,
    CorpusConfig,
    ExperimentConfig,
    ModelConfig,
    SaeConfig,
    TrainingConfig,
    default_batch_tokens,
    validate,
)
from experiments.engine.model_card import ModelCard
from experiments.models import Corpus
from experiments.services.corpora import corpus_by_reference, corpus_config
from experiments.services.fine_tuning import refuse_another_kind, start_of
from experiments.services.language_models import ask_about, model_card, resolve_model
from latentlens.lib.numbers import parse_integer, parse_number
from latentlens.lib.problems import Refused, refused_field
from latentlens.lib.text import clean_name

DEFAULT_CONTEXT_LENGTH = 128
Number: TypeAlias = int | float | str


def default_n_features() -> int:
    return int(settings.SAE_HIDDEN_DIM)


def default_sparsity_coefficient() -> float:
    return float(settings.SPARSITY_COEFFICIENT)


@dataclass(frozen=True)
class ExperimentRequest:
    """An experiment as a person asks for it: by page, API or command. `corpus` is an id or "builtin".

    `start_from` is the id of a finished experiment whose SAE is trained further. Numbers may be text as it was typed;
    `configure` refuses what makes no sense. An empty name is filled in.
    """

    model: str
    layer: Number
    name: str = ""
    revision: str = ""
    site: str = "resid_post"
    corpus: int | str = "builtin"
    architecture: str = "topk"
    n_features: Number = field(default_factory=default_n_features)
    k: Number = 32
    sparsity_coefficient: Number = field(default_factory=default_sparsity_coefficient)
    training_tokens: Number = 2_000_000
    seed: Number = 0
    context_length: Number | None = None
    learning_rate: Number | None = None
    batch_tokens: Number | None = None
    packing: str = "across_documents"
    deduplicate: bool | str = False
    streaming: bool | str = True
    start_from: Number | None = None
    cache_hidden_states: bool | str = False


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
    numbers = form.check_numbers(request, _default_context_length(card))
    form.check_choice("site", request.site, SITES)
    form.check_choice("architecture", request.architecture, ARCHITECTURES)
    form.check_choice("packing", request.packing, PACKINGS)
    reading = {name: form.check(partial(_truth, name, getattr(request, name))) for name in ("deduplicate", "streaming")}
    start = form.check(lambda: start_of(request.start_from))
    cached = form.check(lambda: _truth("cache_hidden_states", request.cache_hidden_states))
    form.raise_mistakes()
    config = _engine_config(request, model, replace(corpus_config(corpus), **reading), numbers)
    config = replace(config, start=start, cache_hidden_states=cached)
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
    """What can only be judged knowing the model. Without a card the worker judges, before it downloads weights."""
    if card is None:
        return
    try:
        validate(config, card)
    except ConfigError as error:
        raise Refused(str(error), {error.field: str(error)}) from error


def suggested_name(config: ExperimentConfig) -> str:
    """For example "gpt2 · layer 6 · TopK 24,576"."""
    architecture = ARCHITECTURES[config.sae.architecture].title
    return f"{config.model.name} · layer {config.layer} · {architecture} {config.sae.n_features:,}"


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

    def check_choice(self, name: str, value: str, choices: Mapping[str, Choice]) -> None:
        if value not in choices:
            self._mistakes[name] = f"The {name} must be one of {', '.join(choices)}."

    def check_numbers(self, request: ExperimentRequest, context_length: int) -> dict[str, Any]:
        """Every number of the request within its bounds; what was left out gets its default."""
        given = {name: getattr(request, name) for name in BOUNDS if hasattr(request, name)}
        del given["learning_rate"]
        if given["context_length"] in (None, ""):
            given["context_length"] = context_length
        if given["batch_tokens"] in (None, ""):
            del given["batch_tokens"]
        numbers = {name: self.check(partial(_bounded, name, value)) for name, value in given.items()}
        numbers["learning_rate"] = self.check(partial(_learning_rate, request.learning_rate))
        numbers.setdefault("batch_tokens", default_batch_tokens(numbers["training_tokens"] or 0))
        k, n_features = numbers["k"], numbers["n_features"]
        if k and n_features and k > n_features:
            self._mistakes["k"] = f"k ({k:,}) cannot exceed the number of features ({n_features:,})."
        return numbers

    def raise_mistakes(self) -> None:
        if self._mistakes:
            raise Refused(" ".join(dict.fromkeys(self._mistakes.values())), self._mistakes)


def _bounded(name: str, value: Number) -> float:
    bound = BOUNDS[name]
    if bound.whole:
        return parse_integer(value, field=name, minimum=int(bound.minimum), maximum=int(bound.maximum))
    return parse_number(value, field=name, minimum=bound.minimum, maximum=bound.maximum)


def _learning_rate(value: Number | None) -> float | None:
    """Left out, the engine follows its scaling law."""
    if value is None or value == "":
        return None
    return parse_number(value, field="learning_rate", minimum=1e-8, maximum=1.0)


def _truth(name: str, value: bool | str) -> bool:
    if str(value).lower() not in {"true", "false"}:
        raise refused_field(name, f"The field {name} must be true or false.")
    return str(value).lower() == "true"


def _default_context_length(card: ModelCard | None) -> int:
    return min(DEFAULT_CONTEXT_LENGTH, card.context_length) if card else DEFAULT_CONTEXT_LENGTH


def _engine_config(
    request: ExperimentRequest, model: ModelConfig, corpus: CorpusConfig, numbers: dict[str, Any]
) -> ExperimentConfig:
    return ExperimentConfig(
        model=model,
        corpus=corpus,
        layer=numbers["layer"],
        site=request.site,
        sae=SaeConfig(request.architecture, numbers["n_features"], numbers["k"], numbers["sparsity_coefficient"]),
        training=TrainingConfig(
            tokens=numbers["training_tokens"],
            batch_tokens=numbers["batch_tokens"],
            learning_rate=numbers["learning_rate"],
        ),
        context_length=numbers["context_length"],
        packing=request.packing,
        seed=numbers["seed"],
    )


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
