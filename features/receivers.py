"""What the features app does when an experiment has been harvested; runs in the worker."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from experiments.signals import experiment_finished
from features.services.catalogue import import_catalogue


@receiver(experiment_finished)
def import_features(experiment_id: int, **_: Any) -> None:
    import_catalogue(experiment_id)
