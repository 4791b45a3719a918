"""Forms of the admin; the rules are those of the services, which the pages and the API keep too."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.helpers import ActionForm

from features.models import Label
from features.services.labels import LabelDraft, clean_tags, tags_in
from latentlens.lib.problems import Refused


class LabelRowForm(forms.ModelForm):
    """A label in the list of all. Keeps the rules of `LabelDraft`."""

    class Meta:
        model = Label
        fields = ("text", "confidence", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # in a list of labels the head of a column does not name its inputs
            field.widget.attrs.setdefault("aria-label", str(field.label))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            self.draft = self._draft(cleaned)
        except Refused as refusal:
            raise forms.ValidationError(dict(refusal.fields)) from None
        return cleaned | {"text": self.draft.text, "note": self.draft.note}

    def _draft(self, cleaned: dict[str, Any]) -> LabelDraft:
        """The whole label: what the form does not show stays as it is."""
        old = self.instance
        tags = tags_in(cleaned["tags"]) if "tags" in self.fields else old.tag_names
        return LabelDraft.of(cleaned["text"], cleaned.get("note", old.note), tags, cleaned["confidence"])


class LabelAdminForm(LabelRowForm):
    """A label with its tags, as words: the admin's own widget for them has no name that a screen reader could say."""

    tags = forms.CharField(
        required=False,
        label="Tags",
        help_text="Words, with commas between them.",
        widget=forms.TextInput({"class": "vTextField"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(self.instance.tag_names) if self.instance.pk else ""


class TagAdminForm(forms.ModelForm):
    def clean_name(self) -> str:
        try:
            return clean_tags([self.cleaned_data["name"]])[0]
        except Refused as refusal:
            raise forms.ValidationError(refusal.message) from None


class TagActionForm(ActionForm):
    """The word that an action needs: the tag to add, or the one to merge into."""

    tag = forms.CharField(required=False, label="Tag:", widget=forms.TextInput({"size": 16}))
