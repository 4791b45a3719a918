"""The broker's one table."""

from __future__ import annotations

from django.db import models


class Message(models.Model):
    """A message that waits in a queue, or that `owner` is working on until `lease_until`.

    A row is deleted when its message is acknowledged. A lease that ran out frees the message for the next worker:
    that is how work comes back from a worker that was killed.
    """

    queue = models.CharField(max_length=64)
    payload = models.TextField(help_text="The message as JSON.")
    lease_until = models.FloatField(default=0.0, help_text="Unix time in seconds; in the past: free to be claimed.")
    owner = models.CharField(max_length=64, blank=True)
    deliveries = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["queue", "id"], name="broker_queue")]

    def __str__(self) -> str:
        return f"{self.queue} {self.pk}"
