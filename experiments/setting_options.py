"""Every setting as an option of the command line."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Container
from typing import Any

from experiments.engine.config import SETTINGS
from experiments.setting_texts import GROUPS, explanation, group_settings

SHORT = {"training_tokens": ["--tokens"]}
# What the command knows and the form asks for.
HELP = {"layer": "The block whose hidden states are read, counted from 0. Default: the middle."}
METAVARS = {"whole number": "N", "number": "X", "choice": "NAME"}


def add_settings(parser: ArgumentParser, wanted: Container[str] = SETTINGS) -> None:
    """One option for each setting, in the groups of the form. Values stay text: the service says what is wrong."""
    for group in GROUPS:
        if not (settings := [setting for setting in group_settings(group) if setting.name in wanted]):
            continue
        options = parser.add_argument_group(group)
        for setting in settings:
            names = [f"--{setting.name.replace('_', '-')}", *SHORT.get(setting.name, [])]
            help_text = HELP.get(setting.name, explanation(setting, describe_choices=True)).replace("%", "%%")
            if setting.kind == "flag":
                options.add_argument(*names, dest=setting.name, help=help_text, action=BooleanOptionalAction)
            else:
                metavar = METAVARS[setting.kind]
                options.add_argument(*names, dest=setting.name, help=help_text, metavar=metavar)


def settings_given(options: dict[str, Any]) -> dict[str, Any]:
    """The settings among the options of a command that were given."""
    return {name: options[name] for name in SETTINGS if options.get(name) is not None}
