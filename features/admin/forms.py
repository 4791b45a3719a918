"""Forms of the admin; the rules are those of the services, which the pages and the API keep too."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.helpers import ActionForm

from features.models import Label
from features.services.labels import LabelDraft, clean_tags
from latentlens.lib.problems import Refused


class LabelAdminForm(forms.ModelForm):
    """Keeps the rules of `LabelDraft`."""

    class Meta:
        model = Label
        fields = ("text", "tags", "confidence", "note")

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
        tags = cleaned["tags"] if "tags" in self.fields else old.tags.all() if old.pk else ()
        note = cleaned.get("note", old.note)
        return LabelDraft.of(cleaned["text"], note, [tag.name for tag in tags], cleaned["confidence"])


class TagAdminForm(forms.ModelForm):
    def clean_name(self) -> str:
        try:
            return clean_tags([self.cleaned_data["name"]])[0]
        except Refused as refusal:
            raise forms.ValidationError(refusal.message) from None


class TagActionForm(ActionForm):
    """The word that an action needs: the tag to add, or the one to merge into."""

    tag = forms.CharField(required=False, label="Tag:", widget=forms.TextInput({"size": 16}))
