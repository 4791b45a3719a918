"""Frozen dataclasses to plain JSON, and back."""

from __future__ import annotations

import dataclasses
import types
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from experiments.engine.config.setting import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config")


def as_json(config: DataclassInstance) -> dict[str, Any]:
    """Plain JSON values from which `from_json` of the same class makes the same config again."""
    return dataclasses.asdict(config)


def read_config(kind: type[Config], document: Any, path: str) -> Config:
    """The dataclass `kind` that `document` describes. Raises ConfigError for unknown or missing keys, wrong types."""
    if not isinstance(document, dict):
        raise ConfigError(path, f"{path} must be an object.")
    hints = get_type_hints(kind)
    if unknown := sorted(set(document) - set(hints)):
        raise ConfigError(unknown[0], f"{path} has an unknown field “{unknown[0]}”.")
    values = {name: _value(hints[name], value, name) for name, value in document.items()}
    try:
        return kind(**values)
    except TypeError:
        required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]  # type: ignore[arg-type]
        missing = next(name for name in required if name not in values)
        raise ConfigError(missing, f"{path} lacks the field “{missing}”.") from None


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, name: str) -> Any:
    kinds = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if dataclasses.is_dataclass(kind):
            return read_config(kind, value, name)  # type: ignore[arg-type]
    if get_origin(hint) in (dict, list):  # JSON is kept as it is
        accepted = isinstance(value, get_origin(hint))
    elif get_origin(hint) is Literal:
        accepted = value in get_args(hint)
    elif isinstance(value, bool):
        accepted = bool in kinds
    else:
        accepted = isinstance(value, (*kinds, int) if float in kinds else kinds)
    if not accepted:
        raise ConfigError(name, f"“{name}” has a value of the wrong kind.")
    return value
