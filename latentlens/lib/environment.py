"""Reads environment variables and an optional `.env` file, and collects what is wrong with them instead of raising.

Settings are loaded by every process and every command, also by the one that is about to explain the mistake, so a bad
value becomes a `SettingProblem` and its default takes its place; `latentlens/checks.py` turns problems into numbered
system checks.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from environ import Env

from latentlens.lib.secret_files import read_or_create_secret

Value = TypeVar("Value")
_LINE = re.compile(r"(?:export )?[A-Za-z_][A-Za-z_0-9]*=.*")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class SettingProblem:
    """A setting that cannot be used as it was given."""

    name: str
    message: str
    hint: str


class EnvironmentReader:
    """Typed access to the environment; real variables win over the lines of `env_file`."""

    def __init__(self, env_file: Path, base_dir: Path) -> None:
        self.problems: list[SettingProblem] = []
        self._base_dir = base_dir
        self._variables = Env.ENVIRON
        if env_file.exists():
            self._read_file(env_file)

    def text(self, name: str, default: str) -> str:
        return str(self._variables.get(name, "")).strip() or default

    def path(self, name: str, default: Path) -> Path:
        """A relative path is taken from the repository root, so that every process means the same folder."""
        return (self._base_dir / Path(self.text(name, str(default))).expanduser()).resolve()

    def boolean(self, name: str, default: bool) -> bool:
        given = self.text(name, str(default)).lower()
        if given in _TRUE | _FALSE:
            return given in _TRUE
        return self._refuse(name, f"{given!r} is neither true nor false", "Use true or false.", default)

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        given = self.text(name, str(default))
        if re.fullmatch(r"[+-]?[0-9]{1,18}", given) and minimum <= int(given) <= maximum:
            return int(given)
        return self._refuse(name, f"{given!r} is not a whole number in range", f"Use {minimum} to {maximum}.", default)

    def number(self, name: str, default: float, minimum: float, maximum: float) -> float:
        given = self.text(name, str(default))
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if minimum <= value <= maximum:
            return value
        return self._refuse(name, f"{given!r} is not a number in range", f"Use {minimum:g} to {maximum:g}.", default)

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        given = self.text(name, default)
        for choice in choices:
            if choice.lower() == given.lower():
                return choice
        return self._refuse(name, f"{given!r} is not a choice", f"Use one of {', '.join(choices)}.", default)

    def texts(self, name: str, default: list[str]) -> list[str]:
        return [item.strip() for item in self.text(name, "").split(",") if item.strip()] or default

    def origins(self, name: str, default: list[str]) -> list[str]:
        given = self.texts(name, default)
        bad = [origin for origin in given if not _is_origin(origin)]
        if bad:
            return self._refuse(
                name, f"{bad[0]!r} is not an origin", "Use scheme and host, such as https://lens.example.org.", default
            )
        return given

    def database(self, name: str, sqlite_file: Path) -> dict[str, Any]:
        """Django's database dictionary for the URL in variable `name`; without one, SQLite in `sqlite_file`."""
        url = self.text(name, "")
        if not url:
            return _sqlite(str(sqlite_file))
        try:
            parsed: dict[str, Any] = dict(Env.db_url_config(url))
        except Exception:  # django-environ raises whatever its parsing stumbles over
            parsed = {}
        engine = parsed.get("ENGINE", "")
        if engine.endswith("sqlite3") and parsed.get("NAME"):
            return _sqlite(str(self._base_dir / parsed["NAME"]))
        if engine.endswith("postgresql"):
            return parsed
        return self._refuse(
            name,
            "the address is not one of a database that Latent Lens can use",
            "Use postgres://user:password@host:5432/name or sqlite:////absolute/path.sqlite3.",
            _sqlite(str(sqlite_file)),
        )

    def redis_url(self, name: str) -> str:
        given = self.text(name, "")
        if not given or urlsplit(given).scheme in {"redis", "rediss", "unix"}:
            return given
        return self._refuse(name, "the address is not one of a Redis server", "Use redis://host:6379/0.", "")

    def secret(self, name: str, file: Path, prefix: str = "") -> str:
        """The variable, or else what `file` holds; made there on the first start."""
        given = self.text(name, "")
        if given:
            return given
        try:
            return read_or_create_secret(file, prefix)
        except OSError as error:
            message = f"the secret in {file} cannot be read or made ({error.strerror})"
            return self._refuse("DATA_DIR", message, "Give a folder that can be written.", secrets.token_urlsafe(32))

    def _read_file(self, env_file: Path) -> None:
        try:
            lines = env_file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            self._refuse(env_file.name, "the file cannot be read as text", "Save it as UTF-8, or remove it.", None)
            return
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#") and not _LINE.fullmatch(line.strip()):
                # The line itself is not repeated: it may hold a secret.
                self._refuse(
                    env_file.name, f"line {number} is not NAME=value", "Write NAME=value, or start it with #.", None
                )
        if not self.problems:
            Env.read_env(env_file)

    def _refuse(self, name: str, message: str, hint: str, default: Value) -> Value:
        self.problems.append(SettingProblem(name, message, hint))
        return default


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and not (parts.path or parts.query)


def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "latentlens.lib.sqlite_in_turn",
        "NAME": name,
        "OPTIONS": {
            # A transaction that begins as a writer waits its turn; one that upgrades from reader fails at once.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY",
        },
        "TEST": {"NAME": f"{name}.test"},
    }
