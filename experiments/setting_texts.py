"""The words that pages, commands, the API and the reference use for a setting: all from its own fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.engine.config import ARCHITECTURES, PARTS, SETTINGS, Setting
from experiments.services.configurations import default_values

# Of the parts of a config first, then those that some settings name themselves.
GROUPS = tuple(dict.fromkeys((*PARTS.values(), *(setting.group for setting in SETTINGS.values()))))
# Defaults that the environment changes.
FROM_ENVIRONMENT = {"n_features": "SAE_HIDDEN_DIM", "sparsity_coefficient": "SPARSITY_COEFFICIENT"}


def group_settings(group: str) -> list[Setting]:
    return [setting for setting in SETTINGS.values() if setting.group == group]


def written(value: Any) -> str:
    """A value as it is read: 4,096, 6.25e-10, resid_post, yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.10g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def default_text(setting: Setting) -> str:
    """What stands for the setting where it is left out."""
    if setting.is_required:
        return "has to be given"
    return setting.left_out or written(default_values()[setting.name])


def range_text(setting: Setting) -> str:
    """The numbers, or the names, that it may have."""
    if setting.kind == "flag":
        return "yes or no"
    if setting.kind == "choice":
        return ", ".join(setting.choices)
    return f"{written(setting.minimum)} to {written(setting.maximum)}"


def architectures_text(setting: Setting) -> str:
    """For example "for TopK and JumpReLU"; empty where it matters for all."""
    titles = [ARCHITECTURES[name].title for name in setting.architectures]
    if not titles:
        return ""
    return f"for {', '.join(titles[:-1])} and {titles[-1]}" if titles[1:] else f"for {titles[0]}"


def explanation(setting: Setting, *, describe_choices: bool = False) -> str:
    """All about it in one paragraph, for people who see no form."""
    return " ".join(_sentences(setting, describe_choices))


def _sentences(setting: Setting, describe_choices: bool) -> Iterator[str]:
    yield setting.help
    if only := architectures_text(setting):
        yield f"Only {only}."
    if setting.kind == "choice" and not describe_choices:
        yield f"One of {range_text(setting)}."
    elif setting.kind != "flag" and not setting.choices:
        yield f"From {range_text(setting)} {setting.unit}".strip() + "."
    yield f"Default: {default_text(setting)}."
    if setting.source:
        yield f"Source: {setting.source}."
    if describe_choices:
        yield from (f"{choice.name}: {choice.description}" for choice in setting.choices.values())


def settings_table() -> str:
    """All settings as the table of docs/reference.md."""
    lines = ["| Setting | What it is | Values | Default |", "|---|---|---|---|"]
    for group in GROUPS:
        lines.append(f"| **{group}** | | | |")
        lines += [_row(setting) for setting in group_settings(group)]
    return "\n".join(lines) + "\n"


def _row(setting: Setting) -> str:
    only = architectures_text(setting)
    notes = [setting.help, only and f"Only {only}.", setting.source and f"({setting.source})"]
    what = f"{setting.title}. {' '.join(note for note in notes if note)}"
    default = default_text(setting)
    if variable := FROM_ENVIRONMENT.get(setting.name):
        default = f"`{variable}`, else {written(setting.default)}"
    values = f"{range_text(setting)} {setting.unit}".strip()
    return f"| `{setting.name}` | {what} | {values} | {default} |"
