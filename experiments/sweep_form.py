"""The form of a new sweep. It asks; `services.sweeps` judges."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from experiments.engine.config import ARCHITECTURES, SETTINGS, SITES
from experiments.models import Corpus
from experiments.services.configurations import default_values, middle_layer
from experiments.services.language_models import list_models
from experiments.services.sweeps import SweepRequest, request_of
from experiments.services.typed_settings import LISTED
from latentlens.lib.problems import Refused

MOST_CORPORA = 100
SHARED = ("model", "revision", "corpus", "site", "training_tokens")
OTHER_WORDS = {
    "architecture": f"One or more of {', '.join(ARCHITECTURES)}.",
    "layer": "One or more blocks, counted from 0: 2, 4, 6.",
}


def _middle_of_the_default_model() -> dict[str, int]:
    """The layer to begin with, where that model is known."""
    try:
        return {"layer": middle_layer(settings.DEFAULT_MODEL_NAME)}
    except Refused:
        return {}


def _list_of(name: str) -> forms.CharField:
    """Values side by side, as text, so that the service can say in words what is wrong with one of them."""
    setting = SETTINGS[name]
    return forms.CharField(label=setting.title, required=False, help_text=OTHER_WORDS.get(name, setting.help))


class SweepForm(forms.Form):
    """What all experiments share, and lists of values for what they do not."""

    name = forms.CharField(required=False, help_text="Left empty, it says what is compared.")
    model = forms.CharField(
        label="Language model", required=False, help_text="builtin, a folder of MODELS_DIR, or a hub id such as gpt2."
    )
    revision = forms.CharField(required=False, help_text="Of a hub model: branch, tag or commit.")
    corpus = forms.ChoiceField(required=False, help_text="More are added in the Layer Explorer.")
    site = forms.ChoiceField(choices=[(site.name, site.title) for site in SITES.values()], required=False)
    training_tokens = forms.CharField(
        label="Training tokens", required=False, help_text="Hidden states that each SAE is trained on."
    )
    architecture = _list_of("architecture")
    layer = _list_of("layer")
    n_features = _list_of("n_features")
    k = _list_of("k")
    sparsity_coefficient = _list_of("sparsity_coefficient")
    seed = _list_of("seed")

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        chosen = default_values()
        first = {name: chosen[name] for name in (*LISTED, "site", "training_tokens") if chosen.get(name) is not None}
        first |= {"model": settings.DEFAULT_MODEL_NAME, "corpus": "builtin"} | _middle_of_the_default_model()
        super().__init__(data, initial=first | (initial or {}), label_suffix="")
        corpora = Corpus.objects.exclude(source=Corpus.Source.BUILTIN)[:MOST_CORPORA]
        named = [(str(corpus.pk), corpus.name) for corpus in corpora]
        self.fields["corpus"].choices = [("builtin", "Built-in corpus"), *named]  # type: ignore[attr-defined]
        self.fields["model"].widget.attrs["list"] = "known-models"
        self.known_models = [model.model for model in list_models()]

    def request(self) -> SweepRequest:
        """The request as it was typed."""
        values = {name: str(self[name].value() or "").strip() for name in ("name", *SHARED, *LISTED)}
        return request_of({name: value for name, value in values.items() if value})

    def show_mistakes(self, mistakes: dict[str, str]) -> None:
        """Puts each sentence beside its field; what belongs to none of them goes to the top."""
        self.errors.clear()
        for name, sentence in mistakes.items():
            self.add_error(name if name in self.fields else None, sentence)
