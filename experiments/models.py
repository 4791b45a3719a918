"""Experiments, the metrics they report, the corpora they read and the workers that run them.

The row is the truth about an experiment: a broker message only says "look at experiment N".
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils import timezone

from experiments.engine.config import HOLDS_K


class Corpus(models.Model):
    """A body of text: the built-in one, an uploaded file, or a data set on the hub."""

    class Source(models.TextChoices):
        BUILTIN = "builtin", "Built-in"
        UPLOAD = "upload", "Upload"
        HUB = "hub", "Hub data set"

    name = models.CharField(max_length=200)
    source = models.CharField(max_length=16, choices=Source)
    file = models.CharField(max_length=255, blank=True, help_text="File name below the uploads folder (uploads only).")
    hub_id = models.CharField(max_length=200, blank=True)
    configuration = models.CharField(max_length=200, blank=True)
    split = models.CharField(max_length=100, blank=True)
    column = models.CharField(max_length=200, blank=True, help_text="Which column or key holds the text.")
    chat_template = models.BooleanField(
        default=False, help_text="The column holds conversations, which the model's chat template writes out."
    )
    revision = models.CharField(max_length=64, blank=True, help_text="Commit of the hub data set.")
    content_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the uploaded file.")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    documents = models.BigIntegerField(null=True, blank=True)
    characters = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "corpora"
        constraints = [
            models.UniqueConstraint(fields=["source"], condition=models.Q(source="builtin"), name="one_builtin_corpus")
        ]

    def __str__(self) -> str:
        return self.name


class Sweep(models.Model):
    """Experiments that share one capture pass and are trained side by side."""

    name = models.CharField(max_length=200)
    request = models.JSONField(help_text="What was asked for: the settings, and the lists of values.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiments:sweep", args=[self.pk])


class Experiment(models.Model):
    """One model, layer, corpus and SAE configuration, and what came out: exactly one SAE."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Stage(models.TextChoices):
        CAPTURE = "capture", "Capture"
        TRAINING = "training", "Training"
        EVALUATION = "evaluation", "Evaluation"
        HARVEST = "harvest", "Harvest"
        IMPORT = "import", "Import"

    name = models.CharField(max_length=200)
    model = models.CharField(max_length=220, help_text="builtin, local:NAME or hub:ID.")
    model_revision = models.CharField(max_length=64, blank=True, help_text="Commit on the hub, or weights hash.")
    layer = models.PositiveIntegerField()
    site = models.CharField(max_length=16)
    corpus = models.ForeignKey(Corpus, on_delete=models.PROTECT, related_name="experiments")
    architecture = models.CharField(max_length=32)
    n_features = models.PositiveIntegerField()
    k = models.PositiveIntegerField()
    training_tokens = models.BigIntegerField()
    seed = models.BigIntegerField(default=0)
    config = models.JSONField(help_text="The whole frozen engine configuration.")

    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED, db_index=True)
    stage = models.CharField(max_length=16, choices=Stage, blank=True)
    step = models.BigIntegerField(default=0)
    steps = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    tokens_per_second = models.FloatField(null=True, blank=True)
    seconds_left = models.FloatField(null=True, blank=True)
    progress_note = models.CharField(max_length=200, blank=True)
    sequence = models.BigIntegerField(default=1, help_text="Number of the newest event; being made is event 1.")
    captured = models.JSONField(default=dict, blank=True, help_text="What was read: tokens, documents, and left out.")
    resources = models.JSONField(default=dict, blank=True, help_text="Measured memory and compute path, by stage.")
    quality = models.JSONField(default=dict, blank=True)
    weights_sha256 = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    is_demo = models.BooleanField(default=False)
    sweep = models.ForeignKey(Sweep, on_delete=models.SET_NULL, null=True, blank=True, related_name="experiments")

    cancel_requested = models.BooleanField(default=False)
    pause_requested = models.BooleanField(default=False)
    owner = models.CharField(max_length=100, blank=True, help_text="The worker that holds the lease.")
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    enqueued_at = models.DateTimeField(null=True, blank=True, help_text="When a broker message about it was last sent.")
    checkpoint = models.CharField(max_length=100, blank=True)
    checkpoint_sha256 = models.CharField(max_length=64, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["status", "lease_until"], name="experiment_lease")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiments:detail", args=[self.pk])

    @property
    def holds_k(self) -> bool:
        """Whether k says how many features fire; others have a coefficient for it, or came with their thresholds."""
        return self.architecture in HOLDS_K and not (self.is_imported and self.architecture == "jumprelu")

    @property
    def is_imported(self) -> bool:
        """Whether its SAE comes from another tool, so that there is no training to tell of."""
        return bool(self.config.get("imported"))

    @property
    def is_live(self) -> bool:
        """Queued or running: something more is going to happen without anybody asking."""
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}

    @property
    def is_held(self) -> bool:
        """Somebody holds the lease and may be writing: a worker, or whoever evaluates a finished experiment again."""
        return self.lease_until is not None and self.lease_until > timezone.now()

    @property
    def holder(self) -> str:
        """Who holds the lease, or held it last, in words; empty when nobody does."""
        host, _, process = self.owner.rpartition(":")[0].rpartition(":")
        return f"process {process} on {host}" if host else self.owner

    @property
    def has_features(self) -> bool:
        return self.status == self.Status.FINISHED

    def progress(self) -> dict[str, Any]:
        """The progress object of the API and of the live page."""
        return {
            "step": self.step,
            "steps": self.steps,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
            "seconds_left": self.seconds_left,
            "note": self.progress_note,
        }


class Metric(models.Model):
    """The numbers measured at one training step; `sequence` orders them with every other event of the experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="metrics")
    sequence = models.BigIntegerField()
    step = models.BigIntegerField()
    tokens = models.BigIntegerField()
    values = models.JSONField(help_text="Name to number: loss, explained_variance, l0, dead_share, ...")

    class Meta:
        ordering = ["experiment", "sequence"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "step"], name="one_metric_per_step"),
            models.UniqueConstraint(fields=["experiment", "sequence"], name="one_metric_per_sequence"),
        ]

    def __str__(self) -> str:
        return f"experiment {self.experiment_id}, step {self.step}"


class Worker(models.Model):
    """A running worker process, known by its heartbeat; the pages say so when none is there."""

    name = models.CharField(max_length=200, unique=True)
    queues = models.CharField(max_length=200)
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def reads(self) -> list[str]:
        """The queues it takes work from."""
        return self.queues.split(",")


class TokenPreview(models.Model):
    """What a worker found at the beginning of a corpus: its first windows as a model would read them."""

    key = models.CharField(max_length=64, unique=True, help_text="Hash of all that the windows depend on.")
    corpus = models.ForeignKey(Corpus, on_delete=models.CASCADE, related_name="previews")
    model = models.CharField(max_length=220)
    config = models.JSONField()
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]

    def __str__(self) -> str:
        return f"{self.corpus} read by {self.model}"

    @property
    def is_awaited(self) -> bool:
        return self.answered_at is None

    @property
    def tokens_per_character(self) -> float | None:
        """In what was sampled."""
        return self.result["sampled_tokens"] / self.result["sampled_characters"] if self.result else None

    @property
    def estimated_tokens(self) -> int | None:
        """Of the whole corpus; None where nobody knows how many characters that has."""
        rate, characters = self.tokens_per_character, self.corpus.characters
        return round(rate * characters) if rate is not None and characters is not None else None


class FirstStart(models.Model):
    """One row, made on the first start of this database: what belongs to it never happens a second time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"first started {self.at:%Y-%m-%d %H:%M}"


class HubModel(models.Model):
    """What a worker found out about a model on the hub: its card, or why it cannot be used."""

    hub_id = models.CharField(max_length=200)
    revision = models.CharField(max_length=100, blank=True, help_text="As asked for; empty is the default branch.")
    commit = models.CharField(max_length=64, blank=True)
    card = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [models.UniqueConstraint(fields=["hub_id", "revision"], name="one_card_per_revision")]

    def __str__(self) -> str:
        return self.hub_id
