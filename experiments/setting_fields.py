"""Every setting as a field of the Layer Explorer, and which of them the page shows where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from experiments.engine.config import SETTINGS, Setting
from experiments.services.configurations import default_values
from experiments.setting_texts import GROUPS, architectures_text, default_text, group_settings

# The page draws these by hand: beside the layers, beside the corpus, above the other settings.
DRAWN_ELSEWHERE = {"layer", "site", "streaming", "architecture"}


@dataclass(frozen=True)
class ShownSetting:
    """A field with its words; `matters` says whether the chosen architecture, or a mistake in it, asks for it."""

    field: BoundField
    setting: Setting
    help: str
    unit: str
    default: str
    only: str
    matters: bool

    @property
    def is_typed(self) -> bool:
        return self.field.value() not in (None, self.field.initial)


@dataclass(frozen=True)
class SettingGroup:
    """A part of the settings; the page is opened where it has mistakes."""

    title: str
    settings: tuple[ShownSetting, ...]

    @property
    def has_mistakes(self) -> bool:
        return any(shown.field.errors for shown in self.settings)

    @property
    def typed_for_other_architectures(self) -> list[ShownSetting]:
        """What was typed before another architecture was chosen."""
        return [shown for shown in self.of_other_architectures if shown.is_typed]

    @property
    def mattering(self) -> list[ShownSetting]:
        return [shown for shown in self.settings if shown.matters]

    @property
    def of_other_architectures(self) -> list[ShownSetting]:
        return [shown for shown in self.settings if not shown.matters]


def setting_fields() -> dict[str, forms.Field]:
    """A field for every setting. It takes any text: the service says in words what is wrong with it."""
    defaults = default_values()
    return {name: _field(setting, _as_typed(defaults[name])) for name, setting in SETTINGS.items()}


def basic_settings(form: forms.Form, architecture: str) -> SettingGroup:
    """What everybody has to think about."""
    ordered = sorted(SETTINGS.values(), key=lambda setting: setting.group == "Reading")  # the seed comes last
    return SettingGroup("Basic", tuple(_shown(form, architecture, ordered, advanced=False)))


def advanced_settings(form: forms.Form, architecture: str) -> list[SettingGroup]:
    """What has sensible defaults, in groups."""
    groups = (
        SettingGroup(group, tuple(_shown(form, architecture, group_settings(group), advanced=True))) for group in GROUPS
    )
    return [group for group in groups if group.settings]


def _shown(
    form: forms.Form, architecture: str, settings: Iterable[Setting], *, advanced: bool
) -> Iterator[ShownSetting]:
    for setting in settings:
        if setting.advanced == advanced and setting.name not in DRAWN_ELSEWHERE:
            field = form[setting.name]
            matters = setting.matters_for(architecture) or bool(field.errors)
            words = (setting.help_of(architecture), _unit(setting), _default(setting), architectures_text(setting))
            yield ShownSetting(field, setting, *words, matters)


def _unit(setting: Setting) -> str:
    """The unit, unless the title has said it: training tokens."""
    return "" if setting.title.lower().endswith(setting.unit) else setting.unit


def _default(setting: Setting) -> str:
    chosen = setting.choices.get(setting.default)
    return chosen.title if chosen else default_text(setting)


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _field(setting: Setting, initial: str) -> forms.Field:
    words: dict[str, Any] = {"label": setting.title, "help_text": setting.help, "initial": initial, "required": False}
    if setting.kind == "flag":
        return forms.ChoiceField(choices=[("true", "Yes"), ("false", "No")], **words)
    if setting.kind == "choice":
        nothing = [("", setting.left_out.capitalize())] if setting.left_out else []
        choices = [(choice.name, choice.title) for choice in setting.choices.values()]
        return forms.ChoiceField(choices=[*nothing, *choices], **words)
    attributes = {"min": setting.minimum, "max": setting.maximum, "step": 1 if setting.whole else "any"}
    attributes |= {"inputmode": "decimal", "placeholder": "automatic" if setting.left_out else ""}
    return forms.CharField(widget=forms.NumberInput(attrs=attributes), **words)
