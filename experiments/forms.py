"""The form of the Layer Explorer. It asks; `services.configurations` judges. Its settings are those of the config."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from experiments.engine.config import SETTINGS
from experiments.engine.documents import ENDINGS, TEXT_COLUMN
from experiments.models import Corpus
from experiments.services.configurations import ExperimentRequest
from experiments.services.language_models import ListedModel
from experiments.services.typed_settings import Raw
from experiments.setting_fields import setting_fields

FROM_HUB = "hub"
UPLOAD = "upload"
MOST_CORPORA = 100


class ExplorerForm(forms.Form):
    """Model, layer, corpus and SAE of a new experiment; `kept_name` is the name of a file kept from an attempt."""

    kept_name = ""

    name = forms.CharField(required=False, help_text="Left empty, it is made of model, layer and SAE.")
    model = forms.ChoiceField(label="Language model", required=False)
    hub_id = forms.CharField(label="Hub id", required=False, help_text="For example gpt2 or org/name.")
    revision = forms.CharField(required=False, help_text="Branch, tag or commit; empty is the newest.")

    corpus = forms.ChoiceField(required=False, initial="builtin")
    file = forms.FileField(required=False, help_text="Text in .txt, .jsonl, .csv or .parquet, each also as .gz.")
    kept_upload = forms.CharField(required=False, widget=forms.HiddenInput)
    column = forms.CharField(required=False, help_text="Where a table keeps its text; empty is “text”.")
    corpus_hub_id = forms.CharField(label="Data set", required=False, help_text="name or org/name.")
    configuration = forms.CharField(required=False)
    split = forms.CharField(required=False, initial="train")
    hub_column = forms.CharField(label="Column", required=False, initial="text")
    chat = forms.ChoiceField(
        label="The column holds",
        choices=[("false", "Text"), ("true", "Conversations")],
        required=False,
        initial="false",
        help_text="Lists of messages with role and content; the model's chat template writes them out.",
    )

    start_from = forms.CharField(
        label="Start from experiment",
        required=False,
        help_text="Number of a finished experiment whose SAE is trained further; empty starts from random weights.",
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )

    def __init__(self, data: QueryDict | None = None, files: Any = None, *, models: list[ListedModel]) -> None:
        super().__init__(data, files, label_suffix="")
        self.fields |= setting_fields()
        self._values = data
        here = [(model.model, model.title) for model in models]
        self.fields["model"].choices = [*here, (FROM_HUB, "From the hub…")]  # type: ignore[attr-defined]
        self.fields["corpus"].choices = _corpus_choices()  # type: ignore[attr-defined]
        self.fields["file"].widget.attrs["accept"] = ",".join(ENDINGS)

    def text(self, name: str) -> str:
        """What stands in a field: as typed, or as the form begins."""
        return str(self[name].value() or "").strip()

    @property
    def model_text(self) -> str:
        """The model as the services know it."""
        return f"hub:{self.text('hub_id')}" if self.text("model") == FROM_HUB else self.text("model")

    @property
    def holds_conversations(self) -> bool:
        return self.text("chat") == "true"

    @property
    def hub_column_text(self) -> str:
        """The usual column of texts, as it stands in the form at first, is not the one of conversations."""
        return "" if self.holds_conversations and self.text("hub_column") == TEXT_COLUMN else self.text("hub_column")

    def request_for(self, corpus: int | str, **changes: Raw) -> ExperimentRequest:
        """The request as it was typed, on this corpus, with `changes` of settings."""
        settings: dict[str, Raw] = {name: self.text(name) for name in SETTINGS}
        return ExperimentRequest(
            self.model_text,
            name=self.text("name"),
            revision=self.text("revision") if self.text("model") == FROM_HUB else "",
            corpus=corpus,
            start_from=self.text("start_from"),
            **settings | changes,
        )

    def uploaded_file(self) -> UploadedFile[Any] | None:
        file = self.files.get("file")
        return file if isinstance(file, UploadedFile) else None

    def set_text(self, name: str, text: str) -> None:
        """Changes what a field shows when the form comes back."""
        if self._values is not None:
            self._values[name] = text

    def choose_corpus(self, corpus: Corpus) -> None:
        """What was uploaded or named is a corpus now, and the form comes back with it."""
        self.fields["corpus"].choices = _corpus_choices()  # type: ignore[attr-defined]
        self.set_text("corpus", str(corpus.pk))
        self.set_text("kept_upload", "")

    def show_mistakes(self, mistakes: dict[str, str]) -> None:
        """Puts each sentence beside its field; what belongs to none of them goes to the top."""
        for name, sentence in mistakes.items():
            place = "hub_id" if name == "model" and self.text("model") == FROM_HUB else name
            self.errors.pop(place, None)  # Django's own words for the same mistake
            self.add_error(place if place in self.fields else None, sentence)


def _corpus_choices() -> list[tuple[str, str]]:
    others = Corpus.objects.exclude(source=Corpus.Source.BUILTIN)[:MOST_CORPORA]
    return [
        ("builtin", "Built-in corpus"),
        *((str(corpus.pk), corpus.name) for corpus in others),
        (UPLOAD, "Upload a file…"),
        (FROM_HUB, "Data set on the hub…"),
    ]
