"""Which workers are alive: each writes a heartbeat into its row, and a row that falls silent counts as gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from experiments.models import Experiment, Worker

HEARTBEAT_SECONDS = 5.0
SILENCE = timedelta(seconds=20)
FORGOTTEN_AFTER = timedelta(days=1)


def record_heartbeat(name: str, queues: Iterable[str]) -> None:
    """Says that worker `name` is alive and which queues it reads."""
    Worker.objects.update_or_create(
        name=name, defaults={"queues": ",".join(sorted(queues)), "heartbeat_at": timezone.now()}
    )


def forget_worker(name: str) -> None:
    """A worker that stops says so; rows of workers that could not are swept after a day."""
    Worker.objects.filter(name=name).delete()
    Worker.objects.filter(heartbeat_at__lt=timezone.now() - FORGOTTEN_AFTER).delete()


def live_workers(queue: str) -> list[Worker]:
    """The workers that read `queue` and were heard of in the last seconds."""
    return [worker for worker in Worker.objects.filter(heartbeat_at__gte=_silence_began()) if queue in worker.reads]


def worker_is_alive(queue: str) -> bool:
    return bool(live_workers(queue))


def idle_experiment_workers() -> int:
    """How many workers could begin an experiment now; never negative."""
    busy = Experiment.objects.filter(status=Experiment.Status.RUNNING, lease_until__gte=timezone.now()).count()
    return max(0, len(live_workers("experiments")) - busy)


def _silence_began() -> datetime:
    return timezone.now() - SILENCE
