"""Numbered system checks: what is wrong with the settings, each with a hint."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def settings_can_be_used(**_: Any) -> list[CheckMessage]:
    return [
        Error(f"{problem.name}: {problem.message}.", hint=problem.hint, id="latentlens.E001")
        for problem in settings.SETTING_PROBLEMS
    ]
