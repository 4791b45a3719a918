"""The Celery application. Queues: `experiments`, `lens`, `features`; see docs/operations.md."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from latentlens import worker_signals  # noqa: F401 - connects its receivers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
TRANSPORT_ALIASES["orm"] = "latentlens.broker.transport:Transport"

app = Celery("latentlens")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
