"""What people choose and type at the labelling desk."""

from __future__ import annotations

from typing import Any

from django import forms

from features.forms import LabelForm
from features.models import Label
from features.services.desk import RULES, Queue
from latentlens.lib.problems import Refused

# The keys 1 to 5, and what they say.
CONFIDENCES = [
    ("", "not said"),
    ("0.2", "guess"),
    ("0.4", "maybe"),
    ("0.6", "likely"),
    ("0.8", "confident"),
    ("1", "sure"),
]


class QueueForm(forms.Form):
    """The queue as it stands in the URL."""

    rule = forms.ChoiceField(required=False, label="Queue", choices=list(RULES.items()))
    word = forms.CharField(
        required=False, label="Tag or word", widget=forms.TextInput({"placeholder": "for two of the queues"})
    )
    seed = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, label="Seed of the sample")
    with_labelled = forms.BooleanField(required=False, label="also labelled ones")

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="", auto_id="queue-%s")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            cleaned["queue"] = Queue(
                rule=cleaned.get("rule") or "frequent",
                word=cleaned.get("word") or "",
                seed=cleaned.get("seed") or 0,
                with_labelled=bool(cleaned.get("with_labelled")),
            )
        except Refused as refusal:
            self.add_error("word" if "word" in refusal.fields else "rule", refusal.message)
        return cleaned


class DeskLabelForm(LabelForm):
    """A label with its confidence as five keys; `label` is one's own earlier label, which is then edited."""

    label = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, mine: Label | None = None) -> None:
        initial: dict[str, Any] = {}
        if mine is not None:
            initial = {**LabelForm.of(mine).initial, "label": mine.pk, "confidence": _nearest_key(mine.confidence)}
        super().__init__(data, label=mine.pk if mine else 0, initial=initial)
        self.fields["confidence"] = forms.ChoiceField(required=False, choices=CONFIDENCES, widget=forms.RadioSelect)
        self.auto_id = "desk-%s"


def _nearest_key(confidence: float | None) -> str:
    if confidence is None:
        return ""
    return min((key for key, _ in CONFIDENCES if key), key=lambda key: abs(float(key) - confidence))
