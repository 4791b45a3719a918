"""What people type on the feature pages: a label."""

from __future__ import annotations

from typing import Any

from django import forms

from features.models import Label
from features.services.labels import LabelDraft, tags_in
from latentlens.lib.problems import Refused


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
            "tags": ", ".join(label.tag_names),
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
                tags=tags_in(cleaned.get("tags", "")),
                confidence=cleaned.get("confidence", ""),
            )
        except Refused as refusal:
            _show_refusal(self, refusal)
        return cleaned


def _show_refusal(form: forms.Form, refusal: Refused) -> None:
    """Puts each sentence beside its field."""
    for name, sentence in refusal.fields.items():
        form.add_error(name if name in form.fields else None, sentence)
