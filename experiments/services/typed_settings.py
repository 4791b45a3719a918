"""From what was typed for a setting to its value; what makes no sense is refused in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from experiments.engine.config import Setting
from latentlens.lib.numbers import parse_integer, parse_number
from latentlens.lib.problems import Refused, refused_field

# A value, the text that was typed for it, or nothing. What comes from outside may be of any other type, and is refused.
Raw: TypeAlias = float | str | bool | None

# The settings that may have several values in a sweep; the others are the same for all, as they share one pass over
# the text.
LISTED = ("architecture", "layer", "n_features", "k", "sparsity_coefficient", "seed")
WAYS_TO_SWEEP = "manage.py sweep, the page “New sweep”, or POST /api/sweeps"


def is_empty(raw: Raw) -> bool:
    return raw is None or (isinstance(raw, str) and not raw.strip())


def parse_setting(setting: Setting, raw: Raw) -> Any:
    """The value that `raw` means. Raises Refused for what is no value of this setting."""
    try:
        return _parsed(setting, raw)
    except Refused:
        if setting.name in LISTED and len(several(raw)) > 1:
            raise _one_value_only(setting.name) from None
        raise


def refuse_lists(given: Mapping[str, Raw]) -> None:
    """For a command line, where a comma or space is between values and never within one, as `manage.py sweep` reads it:
    "256,512" are two numbers there, and 256,512 in a form. Raises Refused."""
    for name in LISTED:
        if len(several(given.get(name))) > 1:
            raise _one_value_only(name)


def _one_value_only(name: str) -> Refused:
    sentence = f"{name} takes one value, written without commas; to compare several, start a sweep ({WAYS_TO_SWEEP})."
    return refused_field(name, sentence)


def several(raw: Any) -> list[Any]:
    """The values of a list, which may be text as it was typed: "16, 32 64"."""
    if isinstance(raw, str):
        return [part for part in re.split(r"[\s,;]+", raw) if part]
    return list(raw) if isinstance(raw, Sequence) else [raw]


def _parsed(setting: Setting, raw: Raw) -> Any:
    if setting.kind == "choice":
        return _choice(setting, raw)
    if setting.kind == "flag":
        return _flag(setting, raw)
    if setting.whole:
        low, high = int(setting.minimum), int(setting.maximum)
        return parse_integer(raw, field=setting.name, minimum=low, maximum=high)
    return parse_number(raw, field=setting.name, minimum=setting.minimum, maximum=setting.maximum)


def _choice(setting: Setting, raw: Raw) -> str:
    if not isinstance(raw, str) or raw.strip() not in setting.choices:
        names = ", ".join(setting.choices)
        raise refused_field(setting.name, f"The {setting.name.replace('_', ' ')} must be one of {names}.")
    return raw.strip()


def _flag(setting: Setting, raw: Raw) -> bool:
    text = str(raw).strip().lower()
    if text not in {"true", "false"}:
        raise refused_field(setting.name, f"The field {setting.name} must be true or false.")
    return text == "true"
