"""`manage.py prepare`: what a release needs before its processes start; `up` does the same by itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from latentlens import startup
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = (
        "Bring the database and the static files up to date, and queue the demo experiment if this is the first time."
    )
    # Problems are told in plain sentences instead (startup.refuse_broken_settings).
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            startup.refuse_broken_settings()
            startup.prepare(self.stderr.write)
        except Problem as problem:
            raise CommandError(problem.message) from None
