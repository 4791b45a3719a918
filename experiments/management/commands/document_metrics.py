"""`manage.py document_metrics`: writes docs/metrics anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from experiments.metric_documents import metric_documents


class Command(BaseCommand):
    help = "Write one document for each metric into docs/metrics, from the explanations that the pages show."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "docs" / "metrics"
        folder.mkdir(parents=True, exist_ok=True)
        documents = metric_documents()
        for path in folder.glob("*.md"):
            if path.name not in documents:
                path.unlink()
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
        self.stdout.write(f"{len(documents)} documents")
