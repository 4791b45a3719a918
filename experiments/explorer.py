"""The Layer Explorer: what its page shows for what is in its form, and what happens when the form is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import QueryDict

from experiments.engine.config import ARCHITECTURES, SITES
from experiments.engine.estimate import Estimate
from experiments.engine.machine import memory_bytes
from experiments.engine.model_card import ModelCard
from experiments.forms import FROM_HUB, UPLOAD, ExplorerForm
from experiments.models import Corpus, Experiment, TokenPreview
from experiments.services import corpora
from experiments.services.configurations import configure, known_card
from experiments.services.estimates import estimate_of
from experiments.services.experiments import create_experiment
from experiments.services.language_models import list_models, resolve_model
from experiments.services.previews import ask_for_preview
from experiments.services.workers import worker_is_alive
from experiments.setting_fields import advanced_settings, basic_settings
from latentlens.lib.problems import Problem, Refused, refused_field


@dataclass(frozen=True)
class Layer:
    """One layer of the stack that is drawn."""

    number: int
    parameters: int | None
    is_chosen: bool


@dataclass(frozen=True)
class LayerStack:
    """The layers to choose from, top first; or why there are none to see (yet)."""

    card: ModelCard | None = None
    layers: tuple[Layer, ...] = ()
    problem: str = ""
    is_asked_for: bool = False
    worker_is_missing: bool = False


@dataclass(frozen=True)
class EstimateView:
    """The estimate of what is in the form, or why there is none."""

    estimate: Estimate | None = None
    problem: str = ""
    memory_bytes: int = 0

    @property
    def fits(self) -> bool:
        return self.estimate is None or self.estimate.memory_bytes <= self.memory_bytes


def explorer_form(data: QueryDict, files: Any = None) -> ExplorerForm:
    """The form with `data` over its defaults. An address names what differs, so what it leaves out is filled in."""
    models = list_models()
    filled = ExplorerForm(models=models)
    values = data.copy()
    for name in filled.fields:
        if name not in values and (initial := filled[name].value()) is not None:
            values[name] = str(initial)
    known = {model.model for model in models}
    _choose_model(values, known)
    return ExplorerForm(values, files, models=models)


def layer_stack(form: ExplorerForm) -> LayerStack:
    """The layers of the chosen model. A hub model that nobody has described yet is asked for."""
    if form.text("model") == FROM_HUB and not form.text("hub_id"):
        return LayerStack(problem="Type the id of a model on the hub, then look at its layers.")
    try:
        model = resolve_model(form.model_text, form.text("revision") or None)
        card = known_card(model)
    except Refused as refusal:
        return LayerStack(problem=refusal.message)
    if card is None:
        return LayerStack(is_asked_for=True, worker_is_missing=not worker_is_alive("lens"))
    return LayerStack(card, _layers(card, form.text("layer")))


def default_layer(form: ExplorerForm, stack: LayerStack) -> None:
    """A model that has just been chosen begins with its middle layer."""
    text = form.text("layer")
    if stack.card and not (text.isdecimal() and int(text) < stack.card.layers):
        form.set_text("layer", str(stack.card.layers // 2))


def estimate_view(form: ExplorerForm) -> EstimateView:
    """What the experiment would need. While a corpus has not been uploaded yet, the built-in one stands in for it."""
    corpus = form.text("corpus")
    try:
        wanted = configure(form.request_for("builtin" if corpus in {UPLOAD, FROM_HUB} else corpus))
    except Refused as refusal:
        return EstimateView(problem=refusal.message)
    needed = estimate_of(wanted.config, wanted.card)
    if needed is None:
        return EstimateView(problem="Memory, disk and time are estimated once the model has been looked at.")
    return EstimateView(needed, memory_bytes=memory_bytes())


def explorer_context(form: ExplorerForm) -> dict[str, Any]:
    """Everything the page shows."""
    stack = layer_stack(form)
    default_layer(form, stack)
    return settings_context(form) | {
        "nav": "experiments",
        "whole_page": True,  # what htmx swaps in has no part for browsers without scripts: it would be sent along
        "stack": layer_stack(form) if stack.card else stack,
        "estimate": estimate_view(form),
        "sites": SITES.values(),
    }


def settings_context(form: ExplorerForm) -> dict[str, Any]:
    """The settings that the chosen architecture has."""
    architecture = form.text("architecture")
    basic, advanced = basic_settings(form, architecture), advanced_settings(form, architecture)
    return {
        "form": form,
        "architectures": ARCHITECTURES.values(),
        "basic": basic,
        "advanced": advanced,
        "remembered": [shown for group in (basic, *advanced) for shown in group.typed_for_other_architectures],
        "has_advanced_mistakes": any(group.has_mistakes for group in advanced),
    }


def keep_file(form: ExplorerForm) -> None:
    """Keeps a file that came with a form that is only being looked at."""
    file = form.uploaded_file()
    if file is None:
        return
    try:
        kept = corpora.keep_upload(file)
    except Problem as problem:
        form.show_mistakes({"file": problem.message})
    else:
        form.set_text("kept_upload", kept.signed())
        form.kept_name = kept.name


def start(form: ExplorerForm) -> Experiment | None:
    """Creates the experiment; None when the form has to come back, with its mistakes and everything typed."""
    corpus = _corpus(form)
    try:
        if corpus is None:
            configure(form.request_for("builtin"))  # all other mistakes are shown at the same time
            return None
        return create_experiment(form.request_for(corpus))
    except Refused as refusal:
        form.show_mistakes(refusal.fields or {"": refusal.message})
        return None


def preview_context(form: ExplorerForm) -> dict[str, Any]:
    """The preview of tokens for what is in the form, or what has to be changed before there can be one."""
    corpus = _corpus(form)
    if corpus is None:
        return {"preview_problem": " ".join(str(sentence) for field in form.errors.values() for sentence in field)}
    try:
        return shown_preview(ask_for_preview(form.request_for(corpus, layer=0)))
    except Refused as refusal:
        return {"preview_problem": refusal.message}


def shown_preview(preview: TokenPreview) -> dict[str, Any]:
    """What the panel of tokens shows."""
    return {"preview": preview, "worker_is_missing": preview.is_awaited and not worker_is_alive("lens")}


def _corpus(form: ExplorerForm) -> int | str | None:
    """The chosen corpus; an uploaded file or a named data set becomes one. None when that was refused."""
    chosen = form.text("corpus")
    if chosen not in {UPLOAD, FROM_HUB}:
        return chosen
    try:
        corpus = _uploaded(form) if chosen == UPLOAD else _named(form)
    except Problem as problem:
        mistakes = problem.fields or {"file": problem.message}
        form.show_mistakes({_field_of(name, chosen): sentence for name, sentence in mistakes.items()})
        return None
    form.choose_corpus(corpus)
    return corpus.pk


def _uploaded(form: ExplorerForm) -> Corpus:
    """A file that came with the form, or with its last attempt. It is kept until it has become a corpus."""
    file = form.uploaded_file()
    if file is None and not form.text("kept_upload"):
        raise refused_field("file", "Choose a file to upload.")
    kept = corpora.keep_upload(file) if file else corpora.KeptUpload.from_signed(form.text("kept_upload"))
    form.set_text("kept_upload", kept.signed())
    form.kept_name = kept.name
    try:
        return corpora.add_kept_upload(kept, column=form.text("column"), chat=form.holds_conversations)
    except Refused as refusal:
        if "file" in refusal.fields:  # another column will not help: this file cannot be used
            corpora.forget_upload(kept)
            form.set_text("kept_upload", "")
            form.kept_name = ""
        raise


def _named(form: ExplorerForm) -> Corpus:
    return corpora.add_hub_corpus(
        form.text("corpus_hub_id"),
        form.text("configuration"),
        form.text("split"),
        form.hub_column_text,
        chat=form.holds_conversations,
    )


def _field_of(name: str, chosen: str) -> str:
    return {"column": "hub_column"}.get(name, name) if chosen == FROM_HUB else {"name": "file"}.get(name, name)


def _choose_model(values: QueryDict, known: set[str]) -> None:
    """Any way of naming a model is understood: `?model=hub:gpt2` fills in the hub id."""
    given = values.get("model") or settings.DEFAULT_MODEL_NAME
    if given in known or given == FROM_HUB:
        values["model"] = given
        return
    try:
        model = resolve_model(given, values.get("revision"))
    except Refused:
        return  # it is shown, and refused, as it was given
    values["model"] = FROM_HUB if model.source == "hub" else model.canonical
    if model.source == "hub":
        values["hub_id"] = model.name


def _layers(card: ModelCard, chosen: str) -> tuple[Layer, ...]:
    parameters = dict(enumerate(card.block_parameters))
    return tuple(
        Layer(number, parameters.get(number), str(number) == chosen) for number in reversed(range(card.layers))
    )
