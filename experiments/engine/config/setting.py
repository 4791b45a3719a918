"""How a field of a config says what it means: title, bounds, unit, source, and for which architectures it matters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Papers that many settings are from, and the largest number of tokens that one may ask for.
BRICKEN = "Bricken et al. 2023, Towards Monosemanticity"
GAO = "Gao et al. 2024, arXiv:2406.04093"
LARGEST = 100_000_000_000

Kind = Literal["whole number", "number", "choice", "flag"]


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one sentence for the person who wrote it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Choice:
    """One value of a closed list, with the words that a form shows for it."""

    name: str
    title: str
    description: str


@dataclass(frozen=True)
class Setting:
    """One choice of an experiment. `default` is None where it follows from others, which `help` then says.

    `architectures` are those for which it matters, all where it is empty; `help_for` has other words for some of them.
    `unit` is that of the number, `source` where the default or the idea is from, `group` the part of the form it is in.
    `left_out` says in words what stands for it where it is not given, if that is no fixed value.
    """

    name: str
    title: str
    help: str
    kind: Kind
    default: Any = None
    unit: str = ""
    source: str = ""
    minimum: float = 0.0
    maximum: float = 0.0
    choices: Mapping[str, Choice] = field(default_factory=dict)
    architectures: tuple[str, ...] = ()
    advanced: bool = True
    group: str = ""
    left_out: str = ""
    help_for: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return self.kind == "whole number"

    @property
    def is_optional(self) -> bool:
        return self.default is None

    @property
    def is_required(self) -> bool:
        """Whether nothing stands for it where it is left out."""
        return self.default is None and not self.left_out

    def matters_for(self, architecture: str) -> bool:
        return not self.architectures or architecture in self.architectures

    def help_of(self, architecture: str) -> str:
        """The help in the words of this architecture."""
        return self.help_for.get(architecture, self.help)

    def check(self, value: Any) -> None:
        """Raises ConfigError when `value` is none of this setting; None is one where the setting is optional."""
        if value is None and self.is_optional:
            return
        if self.kind == "choice":
            self._require(value in self.choices, f"must be one of {', '.join(self.choices)}")
        elif self.kind == "flag":
            self._require(isinstance(value, bool), "must be true or false")
        else:
            self._check_number(value)

    def _check_number(self, value: Any) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        self._require(is_number and math.isfinite(value), "must be a finite number")
        self._require(not self.whole or value == int(value), "must be a whole number")
        rule = f"must be between {self.minimum:,} and {self.maximum:,}, not {value:,}"
        self._require(self.minimum <= value <= self.maximum, rule)

    def _require(self, holds: bool, rule: str) -> None:
        if not holds:
            raise ConfigError(self.name, f"The {self.name.replace('_', ' ')} {rule}.")


def setting(default: Any, title: str, help: str, **more: Any) -> Any:
    """A dataclass field that is a `Setting`; `more` are further fields of it. The default tells its kind."""
    kind: Kind = more.pop("kind", None) or _kind_of(default, more)
    described = Setting("", title, help, kind, default, **more)
    if default is dataclasses.MISSING:
        described = dataclasses.replace(described, default=None)
    return field(default=default, metadata={"setting": described})


def _kind_of(default: Any, more: Mapping[str, Any]) -> Kind:
    if "choices" in more:
        return "choice"
    if isinstance(default, bool):
        return "flag"
    return "number" if isinstance(default, float) else "whole number"
