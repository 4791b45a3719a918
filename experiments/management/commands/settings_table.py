"""`manage.py settings_table`: every setting of an experiment, as docs/reference.md has them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from experiments.setting_texts import settings_table


class Command(BaseCommand):
    help = "Print every setting of an experiment as a Markdown table, with its values, default and source."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(settings_table(), ending="")
