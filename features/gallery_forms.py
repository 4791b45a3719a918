"""The gallery's state as it stands in the URL. The fields are those of `GalleryFilter`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from django import forms
from django.http import QueryDict
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from features.services.gallery import (
    CLOSE_TO,
    CLOSEST_FIRST,
    DEFAULT_ORDERING,
    ORDERINGS,
    GalleryFilter,
    refuse_unknown_names,
)
from latentlens.lib.numbers import parse_number
from latentlens.lib.problems import Refused

ORDERING_NAMES = {
    "-density": "Most frequent",
    "density": "Rarest",
    "-max_activation": "Strongest",
    "max_activation": "Weakest",
    "-mean_activation": "Highest mean",
    "mean_activation": "Lowest mean",
    "-token_share": "Most on one token",
    "token_share": "Least on one token",
    "-confidence": "Surest label",
    "confidence": "Least sure label",
    "-score": "Best tested label",
    "score": "Worst tested label",
    "-concept_f1": "Best at a concept",
    "concept_f1": "Worst at a concept",
    "label": "Label, A to Z",
    "-label": "Label, Z to A",
    "index": "Index, rising",
    "-index": "Index, falling",
    "-closeness": "Closest",
}
VIEWS = {"cards": "Cards", "table": "Table"}
_CHOICE_NAMES = {
    "true": "Yes",
    "false": "No",
    "person": "By a person",
    "machine": "By a machine",
}
_AT_HAND = ("words", "token", "labelled", "concept", "ordering")
_HIDDEN = ("view", "within", *CLOSE_TO)
_PLACEHOLDERS = {
    "words": "weekday, Mon…",
    "token": "Monday",
    "min_density": "0.01 %",
    "max_density": "5 %",
    "method": "person",
}
_ALSO_IN_THE_ADDRESS = ("ordering", "view", "cursor", "contents", "format")


class NumberField(forms.CharField):
    """A number, or a percentage ("0.5 %" is 0.005); how large it may be is the filter's business."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(required=False, strip=True, **kwargs)
        self.name = name

    def clean(self, value: Any) -> float | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            number = parse_number(text.removesuffix("%").strip(), field=self.name, minimum=-1e30, maximum=1e30)
        except Refused:
            raise forms.ValidationError("Type a number such as 0.005, or a percentage such as 0.5 %.") from None
        return number / 100 if text.endswith("%") else number


class GalleryForm(forms.Form):
    """Cleaned, `filter` is the `GalleryFilter`, `ordering` a name of `ORDERINGS`, `view` cards or table."""

    ordering = forms.ChoiceField(required=False)
    view = forms.ChoiceField(required=False, choices=list(VIEWS.items()), widget=forms.HiddenInput)

    def __init__(self, data: QueryDict, *, concepts: dict[str, str]) -> None:
        is_close_to_something = any(data.get(name) for name in CLOSE_TO)
        if not data.get("ordering"):
            data = data.copy()
            data["ordering"] = CLOSEST_FIRST if is_close_to_something else DEFAULT_ORDERING
        super().__init__(data, label_suffix="", auto_id="gallery-%s")
        for name, info in GalleryFilter.model_fields.items():
            self.fields[name] = _field(name, info)
        orderings = [name for name in ORDERINGS if name != CLOSEST_FIRST or is_close_to_something]
        self.fields["ordering"] = _choice("First", [(name, ORDERING_NAMES[name]) for name in orderings])
        if concepts:
            self.fields["concept"] = _choice("Planted concept", [("", "Any"), *concepts.items()])
        else:
            del self.fields["concept"]

    @property
    def is_narrowed(self) -> bool:
        """Some filter says something."""
        return any(self.data.get(name) for name in GalleryFilter.model_fields)

    def at_hand(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in _AT_HAND if name in self.fields)

    def hidden(self) -> Iterator[forms.BoundField]:
        """What the address says and other links set; empty ones are left out."""
        return (self[name] for name in _HIDDEN if self.data.get(name))

    def further(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in self.fields if name not in (*_AT_HAND, *_HIDDEN))

    @property
    def further_in_use(self) -> int:
        """How many of the further filters say something."""
        return sum(bool(field.value()) for field in self.further())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["view"] = cleaned.get("view") or "cards"
        given = {name: cleaned.get(name) for name in GalleryFilter.model_fields}
        try:
            refuse_unknown_names(self.data, _ALSO_IN_THE_ADDRESS)
            if not self.errors:
                cleaned["filter"] = GalleryFilter(
                    **{name: value for name, value in given.items() if value not in ("", None)}
                )
        except Refused as refusal:
            for name, sentence in refusal.fields.items():
                self.add_error(name if name in self.fields else None, sentence)
        except ValidationError as refusal:
            for problem in refusal.errors():
                self.add_error(str(problem["loc"][0]), f"{problem['msg']}.")
        return cleaned


def _choice(label: str, choices: list[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(required=False, label=label, choices=choices)


def _field(name: str, info: FieldInfo) -> forms.Field:
    """How one filter is typed: by its type."""
    kind = next(kind for kind in get_args(info.annotation) if kind is not type(None))
    label = info.title or name
    placeholder = {"placeholder": _PLACEHOLDERS[name]} if name in _PLACEHOLDERS else {}
    if name in _HIDDEN:
        return forms.CharField(required=False, label=label, widget=forms.HiddenInput)
    if get_origin(kind) is Literal or kind is bool:
        names = get_args(kind) if kind is not bool else ("true", "false")
        choices = [("", "All"), *((value, _CHOICE_NAMES[value]) for value in names)]
        return _choice(label, choices)
    if kind is str:
        return forms.CharField(
            required=False, label=label, help_text=info.description or "", widget=forms.TextInput(placeholder)
        )
    return NumberField(
        name,
        label=label,
        help_text=info.description or "",
        widget=forms.TextInput({"inputmode": "decimal"} | placeholder),
    )
