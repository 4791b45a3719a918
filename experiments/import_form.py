"""The form of an import. It asks; `services.imports` judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from experiments.engine.config import SETTINGS, SITES
from experiments.models import Corpus
from experiments.services.import_files import KeptImport, import_folder, import_folders, keep_import
from experiments.services.imports import ImportRequest
from experiments.services.language_models import list_models
from latentlens.lib.problems import refused_field

MOST_CORPORA = 100
SAID_BY_FILES = "as its files say"
ASKED = ("layer", "site", "output_site", "context_length", "evaluation_tokens", "harvest_tokens")


def _site_field(title: str, help_text: str) -> forms.ChoiceField:
    choices = [("", SAID_BY_FILES.capitalize()), *((site.name, site.title) for site in SITES.values())]
    return forms.ChoiceField(label=title, choices=choices, required=False, help_text=help_text)


def _number_field(name: str, placeholder: str) -> forms.CharField:
    """As text, so that the service can say in words what is wrong with it."""
    setting = SETTINGS[name]
    widget = forms.TextInput(attrs={"inputmode": "numeric", "placeholder": placeholder})
    return forms.CharField(label=setting.title, required=False, help_text=setting.help, widget=widget)


class ImportForm(forms.Form):
    """Files, and what they do not say."""

    folder = forms.ChoiceField(required=False, help_text="Folders below IMPORTS_DIR that hold an SAE.")
    config_file = forms.FileField(label="Config", required=False, help_text="cfg.json or config.json.")
    weights_file = forms.FileField(label="Weights", required=False, help_text="A .safetensors file; never a pickle.")
    kept_upload = forms.CharField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(required=False, help_text="Left empty, it is made of model, layer and SAE.")
    model = forms.CharField(
        label="Language model",
        required=False,
        help_text="builtin, a folder of MODELS_DIR, or a hub id such as gpt2.",
        widget=forms.TextInput(attrs={"list": "known-models", "placeholder": SAID_BY_FILES}),
    )
    revision = forms.CharField(required=False, help_text="Of a hub model: branch, tag or commit.")
    layer = _number_field("layer", SAID_BY_FILES)
    site = _site_field("Site", "Where in the block hidden states are read.")
    output_site = _site_field("Reconstructs", "Of a transcoder only.")
    corpus = forms.ChoiceField(required=False, help_text="More are added in the Layer Explorer.")
    context_length = _number_field("context_length", SAID_BY_FILES)
    evaluation_tokens = _number_field("evaluation_tokens", f"{SETTINGS['evaluation_tokens'].default:,}")
    harvest_tokens = _number_field("harvest_tokens", "automatic")

    def __init__(self, data: QueryDict, files: Any = None) -> None:
        self._values = data.copy()
        super().__init__(self._values, files, label_suffix="")
        folders = [(folder.id, folder.name) for folder in import_folders()]
        self.fields["folder"].choices = [("", "Upload its two files…"), *folders]  # type: ignore[attr-defined]
        corpora = Corpus.objects.exclude(source=Corpus.Source.BUILTIN)[:MOST_CORPORA]
        named = [(str(corpus.pk), corpus.name) for corpus in corpora]
        self.fields["corpus"].choices = [("builtin", "Built-in corpus"), *named]  # type: ignore[attr-defined]
        self.fields["weights_file"].widget.attrs["accept"] = ".safetensors"
        self.fields["config_file"].widget.attrs["accept"] = ".json"
        self.has_folders = bool(folders)
        self.known_models = [model.model for model in list_models()]
        self.kept: KeptImport | None = None

    def text(self, name: str) -> str:
        """What stands in a field."""
        return str(self[name].value() or "").strip()

    def source(self) -> Path:
        """The folder with the chosen files; what is uploaded is kept for the next attempt. Raises Refused, TooLarge."""
        if folder := self.text("folder"):
            return import_folder(folder)
        earlier = KeptImport.from_signed(self.text("kept_upload")) if self.text("kept_upload") else None
        config, weights = self._file("config_file"), self._file("weights_file")
        if earlier or config or weights:
            self.kept = keep_import(config, weights, earlier)
            self._values["kept_upload"] = self.kept.signed()
        if self.kept is None or not self.kept.is_whole:
            raise refused_field("files", "Choose two files, the config and the weights, or a folder.")
        return self.kept.folder

    def request(self) -> ImportRequest:
        """The request as it was typed."""
        texts = {name: self.text(name) for name in ("name", "revision", *ASKED)}
        return ImportRequest(self.text("model"), corpus=self.text("corpus") or "builtin", **texts)

    def show_mistakes(self, mistakes: dict[str, str]) -> None:
        """Puts each sentence beside its field; what belongs to none of them goes to the top."""
        self.errors.clear()
        for name, sentence in mistakes.items():
            place = self.place_of_files if name == "files" else name
            self.add_error(place if place in self.fields else None, sentence)

    @property
    def place_of_files(self) -> str:
        return "folder" if self.text("folder") else "weights_file"

    def _file(self, name: str) -> UploadedFile[Any] | None:
        file = self.files.get(name)
        return file if isinstance(file, UploadedFile) else None
