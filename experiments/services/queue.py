"""Knocking: telling workers to look at an experiment, and watchers that something about it is new.

Both are hints. A lost message costs seconds (the reconciler sends another; watchers poll), never the truth, so a
broker or channel layer that cannot be reached is logged and forgiven.
"""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.utils import timezone

from experiments.models import Experiment
from experiments.tasks import run_experiment


def enqueue(experiment_id: int) -> None:
    """Sends "look at experiment N" to the workers once the present transaction is committed."""
    transaction.on_commit(lambda: _send(experiment_id), robust=True)


def _send(experiment_id: int) -> None:
    run_experiment.apply_async((experiment_id,), retry=False)
    Experiment.objects.filter(pk=experiment_id).update(enqueued_at=timezone.now())


def watchers_of(experiment_id: int) -> str:
    """The channel-layer group of those who watch an experiment."""
    return f"experiment-{experiment_id}"


def announce(experiment_id: int) -> None:
    """Wakes those who watch the experiment, where there is a channel layer; without one they poll."""
    layer = get_channel_layer()
    if layer is not None:
        send, group = async_to_sync(layer.group_send), watchers_of(experiment_id)
        transaction.on_commit(lambda: send(group, {"type": "experiment.changed"}), robust=True)
