"""What people type on the feature pages: the gallery's filter and a label."""

from __future__ import annotations

from typing import Any

from django import forms

from features.models import Label
from features.services.gallery import DEFAULT_ORDERING, ORDERINGS, GalleryFilter
from features.services.labels import LabelDraft
from latentlens.lib.numbers import parse_number
from latentlens.lib.problems import Refused

_ORDERING_NAMES = {
    "-density": "Most frequent",
    "density": "Rarest",
    "-max_activation": "Strongest",
    "max_activation": "Weakest",
    "index": "Index, rising",
    "-index": "Index, falling",
}


class ShareField(forms.CharField):
    """A share of all tokens, as a percentage ("0.5 %") or as a number from 0 to 1 ("0.005"), as the API takes it."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(required=False, strip=True, **kwargs)
        self.name = name

    def clean(self, value: Any) -> float | None:
        text = super().clean(value)
        if not text:
            return None
        is_percentage = text.endswith("%")
        try:
            number = parse_number(text.removesuffix("%").strip(), field=self.name, minimum=0.0, maximum=100.0)
        except Refused:
            number = -1.0
        share = number / 100 if is_percentage else number
        if not 0 <= share <= 1:
            raise forms.ValidationError("Type a percentage such as 0.5 %, or a share from 0 to 1 such as 0.005.")
        return share


class GalleryForm(forms.Form):
    """The gallery's state as it stands in the URL."""

    min_density = ShareField("min_density", label="Density from", widget=forms.TextInput({"placeholder": "0.01 %"}))
    max_density = ShareField("max_density", label="Density to", widget=forms.TextInput({"placeholder": "5 %"}))
    token = forms.CharField(required=False, label="Top token", widget=forms.TextInput({"placeholder": "Monday"}))
    labelled = forms.TypedChoiceField(
        required=False,
        label="Labelled",
        choices=[("", "All"), ("true", "Labelled"), ("false", "Unlabelled")],
        coerce=lambda value: value == "true",
        empty_value=None,
    )
    concept = forms.ChoiceField(required=False, label="Planted concept")
    within = forms.CharField(required=False, label="Selection on the map", widget=forms.HiddenInput)
    ordering = forms.ChoiceField(
        required=False, label="First", choices=[(name, _ORDERING_NAMES[name]) for name in ORDERINGS]
    )

    def __init__(self, data: Any, *, concepts: dict[str, str]) -> None:
        super().__init__(data, label_suffix="")
        self.fields["concept"].choices = [("", "Any"), *concepts.items()]  # type: ignore[attr-defined]
        if not concepts:
            del self.fields["concept"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["ordering"] = cleaned.get("ordering") or DEFAULT_ORDERING
        if self.errors:
            return cleaned
        try:
            cleaned["filter"] = GalleryFilter(
                min_density=cleaned.get("min_density"),
                max_density=cleaned.get("max_density"),
                token=cleaned.get("token") or None,
                labelled=cleaned.get("labelled"),
                concept=cleaned.get("concept") or None,
                within=cleaned.get("within") or None,
            )
        except Refused as refusal:
            _show_refusal(self, refusal)
        return cleaned


class LabelForm(forms.Form):
    """A label as text fields; the rules are those of `LabelDraft`, which the API keeps too.

    A page holds one form for a new label and one for each label there is: `label` tells their element ids apart.
    """

    text = forms.CharField(required=False, strip=False, label="Label")
    tags = forms.CharField(
        required=False, strip=False, label="Tags", widget=forms.TextInput({"placeholder": "dates, multilingual"})
    )
    confidence = forms.CharField(
        required=False,
        label="Confidence",
        widget=forms.TextInput({"placeholder": "guess, likely, sure, or 0 to 1"}),
    )
    note = forms.CharField(required=False, strip=False, label="Note", widget=forms.Textarea({"rows": 3}))
    version = forms.IntegerField(
        required=False,
        widget=forms.HiddenInput,
        error_messages={"invalid": "The version of this label is unreadable: reload the page and save again."},
    )

    def __init__(self, data: Any = None, *, label: int | None = None, **kwargs: Any) -> None:
        super().__init__(data, auto_id=f"label-{label or 'new'}-%s", label_suffix="", **kwargs)
        if label is None:
            del self.fields["version"]

    @classmethod
    def of(cls, label: Label) -> LabelForm:
        """The form with which an existing label is edited."""
        content = {
            "text": label.text,
            "tags": ", ".join(tag.name for tag in label.tags.all()),
            "confidence": "" if label.confidence is None else f"{label.confidence:g}",
            "note": label.note,
            "version": label.version,
        }
        return cls(label=label.pk, initial=content)

    def forget_label(self) -> None:
        """Keeps what was typed, for a new label: the one it was meant for is gone."""
        self.data = {**self.data.dict(), "label": "", "version": ""}  # type: ignore[attr-defined]

    def show_newer(self, label: Label) -> None:
        """Keeps what was typed, and saves it next time over `label` as it is now."""
        self.data = {**self.data.dict(), "version": label.version}  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            cleaned["draft"] = LabelDraft.of(
                text=cleaned.get("text", ""),
                note=cleaned.get("note", ""),
                tags=[tag for tag in cleaned.get("tags", "").split(",") if tag.strip()],
                confidence=cleaned.get("confidence", ""),
            )
        except Refused as refusal:
            _show_refusal(self, refusal)
        return cleaned


def _show_refusal(form: forms.Form, refusal: Refused) -> None:
    """Puts each sentence beside its field."""
    for name, sentence in refusal.fields.items():
        form.add_error(name if name in form.fields else None, sentence)
