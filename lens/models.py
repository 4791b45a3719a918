"""Analyses: prompts read through an experiment's SAE."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from experiments.models import Experiment


class Analysis(models.Model):
    """A prompt read through one experiment, token by token.

    The row is the truth: a broker message only says "look at analysis N", and reading a prompt twice does no harm.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="analyses")
    text = models.TextField(help_text="The prompt, exactly as it is read.")
    top_k = models.PositiveIntegerField(default=10, help_text="How many of the strongest features a token keeps.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="analyses"
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED)
    result = models.JSONField(null=True, blank=True, help_text="The tokens; see lens/services/readings.py.")
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began to read it.")
    created_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(default=timezone.now, help_text="When a worker was last told of it.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "analyses"
        indexes = [models.Index(fields=["author", "created_at", "id"], name="analysis_by_author")]

    def __str__(self) -> str:
        return self.text[:60]

    def get_absolute_url(self) -> str:
        return reverse("lens:analysis", args=[self.pk])

    @property
    def is_pending(self) -> bool:
        """Queued or running: the answer is still to come."""
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}
