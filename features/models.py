"""Features, and what people say about them: labels and tags."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from experiments.models import Experiment


class Feature(models.Model):
    """One direction the SAE learned: the summary row that galleries filter and sort by.

    The evidence itself (every activation) is in the experiment's Parquet files.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="features")
    index = models.PositiveIntegerField()
    tokens = models.BigIntegerField(help_text="Tokens that were harvested.")
    firings = models.BigIntegerField(help_text="Those of them on which it fires.")
    documents = models.BigIntegerField(help_text="Documents in which it fires.")
    density = models.FloatField(help_text="firings / tokens.")
    max_activation = models.FloatField()
    mean_activation = models.FloatField(help_text="Mean over the tokens on which it fires.")
    token_search = models.TextField(
        blank=True, help_text="Its top tokens, stripped and lower-cased, each between two unit separators (U+001F)."
    )
    concept = models.CharField(
        max_length=64, blank=True, help_text="Planted concept that it finds with an F1 of 0.5 or more."
    )
    concept_f1 = models.FloatField(null=True, blank=True)
    card = models.JSONField(help_text="What its gallery card shows: top tokens and best examples.")
    summary = models.JSONField(
        help_text="What its page shows: histogram, quantiles, top, promoted and suppressed tokens, nearest features."
    )

    class Meta:
        ordering = ["experiment", "index"]
        constraints = [models.UniqueConstraint(fields=["experiment", "index"], name="one_feature_per_index")]
        indexes = [
            models.Index(fields=["experiment", "density", "id"], name="feature_by_density"),
            models.Index(fields=["experiment", "max_activation", "id"], name="feature_by_max_activation"),
        ]

    def __str__(self) -> str:
        return f"#{self.index}"

    def get_absolute_url(self) -> str:
        return reverse("features:detail", args=[self.experiment_id, self.index])


class Tag(models.Model):
    """A word that groups features."""

    name = models.CharField(max_length=50, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """A person's short name for a feature. Several may exist; the newest that is not withdrawn is the current one.

    `features.services.labels` is the only writer of `is_current` and `withdrawn_at`: nothing is ever deleted.
    """

    feature = models.ForeignKey(Feature, on_delete=models.CASCADE, related_name="labels")
    text = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    tags = models.ManyToManyField(Tag, related_name="labels", blank=True)
    confidence = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)], help_text="0 to 1."
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="labels"
    )
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["feature"], condition=models.Q(is_current=True), name="one_current_label")
        ]

    def __str__(self) -> str:
        return self.text
