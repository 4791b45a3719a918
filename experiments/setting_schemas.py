"""A setting as JSON Schema, for the description of the API."""

from __future__ import annotations

from typing import Any

from experiments.engine.config import Setting
from experiments.services.configurations import default_values
from experiments.setting_texts import explanation

TYPES = {"whole number": "integer", "number": "number", "choice": "string", "flag": "boolean"}


def setting_schema(setting: Setting) -> dict[str, Any]:
    """Its type, bounds or choices, default and explanation; null where it may be left out."""
    kind = TYPES[setting.kind]
    schema: dict[str, Any] = {"title": setting.title, "description": explanation(setting)}
    schema["type"] = kind if setting.is_required else [kind, "null"]
    if setting.kind == "choice":
        schema["enum"] = [*setting.choices, *([] if setting.is_required else [None])]
    elif setting.kind != "flag":
        convert = int if setting.whole else float
        schema |= {"minimum": convert(setting.minimum), "maximum": convert(setting.maximum)}
    return schema if setting.is_required else schema | {"default": default_values()[setting.name]}
