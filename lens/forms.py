"""The prompt and the experiment to read it through."""

from __future__ import annotations

from typing import Any

from django import forms

from experiments.models import Experiment
from latentlens.lib.problems import Refused
from lens.examples import EXAMPLE_PROMPTS
from lens.services.analyses import clean_prompt, readable_experiments


class PromptForm(forms.Form):
    """`example` is the number of an example prompt, which takes the place of the text."""

    text = forms.CharField(required=False, strip=False)
    experiment = forms.ModelChoiceField(
        queryset=Experiment.objects.none(),
        error_messages={
            "required": "Choose an experiment to read the prompt through.",
            "invalid_choice": "This experiment is not there any more, or has not finished: choose another.",
        },
    )
    example = forms.TypedChoiceField(
        choices=[(number, prompt) for number, prompt in enumerate(EXAMPLE_PROMPTS)],
        coerce=int,
        required=False,
        empty_value=None,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["experiment"].queryset = readable_experiments()  # type: ignore[attr-defined]

    @property
    def experiments(self) -> list[tuple[Experiment, bool]]:
        """The experiments to choose from, and which of them is chosen; one query."""
        chosen = str(self["experiment"].value())
        return [(experiment, str(experiment.pk) == chosen) for experiment in readable_experiments()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "text" in self.errors:
            return cleaned
        example = cleaned.get("example")
        text = cleaned.get("text", "") if example is None else EXAMPLE_PROMPTS[example]
        try:
            cleaned["text"] = clean_prompt(text)
        except Refused as refusal:
            self.add_error("text", refusal.message)
        return cleaned
