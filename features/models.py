"""Features, and what people say about them: labels and tags."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from experiments.models import Experiment
from features.words_field import WordsField


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
    token_share = models.FloatField(
        default=0.0, help_text="Share of its firings that are on its most frequent token; 0 for a dead feature."
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
            models.Index(fields=["experiment", "mean_activation", "id"], name="feature_by_mean_activation"),
            models.Index(fields=["experiment", "token_share", "id"], name="feature_by_token_share"),
            models.Index(fields=["experiment", "concept", "id"], name="feature_by_concept"),
            # Covers what ranges are counted and drawn by, so that the long rows stay unread.
            models.Index(
                fields=["experiment", "density", "max_activation", "mean_activation", "token_share"],
                name="feature_ranges",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.index}"

    def get_absolute_url(self) -> str:
        return reverse("features:detail", args=[self.experiment_id, self.index])


class FeatureWords(models.Model):
    """What full-text search finds a feature by; beside its row, which is long, so that writing a label is cheap.

    `features.services.search` is the only writer. Plain words with blanks between them, so that both databases index
    the same ones: Postgres as text vectors, SQLite in an FTS5 table that triggers keep (see the migrations).
    """

    feature = models.OneToOneField(Feature, on_delete=models.CASCADE, primary_key=True, related_name="words")
    tokens = WordsField(blank=True, default="", help_text="Words of its top tokens.")
    labels = WordsField(blank=True, default="", help_text="Words of its labels and their notes.")
    exact_tokens = WordsField(
        blank=True, default="", help_text="A word for each top and promoted token, whatever it holds."
    )

    class Meta:
        verbose_name_plural = "feature words"

    def __str__(self) -> str:
        return f"words of {self.feature_id}"


class Tag(models.Model):
    """A word that groups features."""

    name = models.CharField(max_length=50, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Authored(models.Model):
    """Who did something: a person, a person's API key, or a method; `who` keeps the name when the account is gone."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    key = models.ForeignKey("accounts.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    method = models.CharField(max_length=64, blank=True, help_text="Empty: a person did it.")
    who = models.CharField(max_length=200, blank=True, help_text="The name as it was then.")

    class Meta:
        abstract = True

    @property
    def is_by_machine(self) -> bool:
        return self.method != ""


_CURRENT = models.Q(is_current=True)


class Label(Authored):
    """A short name for a feature, by a person or a machine. Several may exist; at most one is current.

    `features.services.labels` is the only writer: every change is kept as a `LabelRevision`, nothing is ever deleted.
    """

    class Review(models.TextChoices):
        NONE = "", "not asked for"
        PENDING = "pending", "waits for review"
        APPROVED = "approved", "approved"
        REJECTED = "rejected", "rejected"

    feature = models.ForeignKey(Feature, on_delete=models.CASCADE, related_name="labels")
    # The feature's, which never changes: with it an index holds an experiment's current labels in order.
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="labels")
    text = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    tags = models.ManyToManyField(Tag, related_name="labels", blank=True)
    confidence = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)], help_text="0 to 1."
    )
    review = models.CharField(max_length=8, blank=True, default=Review.NONE, choices=Review.choices)
    match_score = models.FloatField(
        null=True, blank=True, help_text="How well the feature that it was transferred from matches, 0 to 1."
    )
    score = models.FloatField(
        null=True, blank=True, help_text="Balanced accuracy of its newest detection test, 0.5 is guessing."
    )
    version = models.PositiveIntegerField(default=1, help_text="Counts its changes; a stale writer is told.")
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["feature"], condition=_CURRENT, name="one_current_label")]
        indexes = [
            # SQLite looks at the condition again: with its column in the index, the labels themselves stay unread.
            models.Index(
                "experiment",
                "confidence",
                "feature",
                "is_current",
                condition=_CURRENT,
                name="current_label_by_confidence",
            ),
            models.Index("experiment", "score", "feature", condition=_CURRENT, name="current_label_by_score"),
            models.Index("experiment", Lower("text"), "feature", condition=_CURRENT, name="current_label_by_text"),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def tag_names(self) -> list[str]:
        """In alphabetical order, the same on every database."""
        return sorted(tag.name for tag in self.tags.all())


class LabelRevision(Authored):
    """A label as it was after one change: its history, oldest first."""

    class Action(models.TextChoices):
        ADDED = "added", "added"
        EDITED = "edited", "edited"
        WITHDRAWN = "withdrawn", "withdrawn"
        RESTORED = "restored", "restored"
        CHOSEN = "chosen", "chosen as current"
        REVIEWED = "reviewed", "reviewed"

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    action = models.CharField(max_length=9, choices=Action.choices)
    text = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    tags = models.JSONField(default=list)
    confidence = models.FloatField(null=True, blank=True)
    review = models.CharField(max_length=8, blank=True, default="")
    is_withdrawn = models.BooleanField(default=False)
    undone = models.BooleanField(default=False, help_text="Its author took this change back.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["label", "version"]
        constraints = [models.UniqueConstraint(fields=["label", "version"], name="one_revision_per_version")]
        indexes = [models.Index(fields=["user", "-at"], name="revision_by_user")]

    def __str__(self) -> str:
        return f"{self.text} ({self.action})"


class DetectionTest(Authored):
    """A label tested as a claim: held-out windows, half of which the feature fires in, told apart by the label alone.

    Balanced accuracy = (true positive rate + true negative rate) / 2, with its 95 % Wilson-based interval.
    """

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="detection_tests")
    label_version = models.PositiveIntegerField()
    true_positives = models.PositiveIntegerField()
    false_negatives = models.PositiveIntegerField()
    true_negatives = models.PositiveIntegerField()
    false_positives = models.PositiveIntegerField()
    balanced_accuracy = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    seed = models.BigIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.balanced_accuracy:.2f} ({self.low:.2f} to {self.high:.2f})"

    @property
    def firing_windows(self) -> int:
        return self.true_positives + self.false_negatives

    @property
    def silent_windows(self) -> int:
        return self.true_negatives + self.false_positives


class LabelImport(models.Model):
    """A file of labels on its way in: checked first, then written, in pieces that can be resumed."""

    class Status(models.TextChoices):
        CHECKING = "checking", "being checked"
        CHECKED = "checked", "checked"
        APPLYING = "applying", "being written"
        APPLIED = "applied", "written"
        FAILED = "failed", "failed"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="label_imports")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    filename = models.CharField(max_length=200)
    format = models.CharField(max_length=8)
    file = models.CharField(max_length=100, help_text="Its name in the folder of imports.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.CHECKING)
    report = models.JSONField(default=dict, help_text="Counts of rows, and the first that cannot be taken.")
    error = models.TextField(blank=True)
    rows_done = models.PositiveIntegerField(default=0)
    take_conflicting = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.filename


class MachineLabelling(models.Model):
    """One pass of a method over the features of an experiment: explained, tested, and labelled where it is of use."""

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="machine_labellings")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    method = models.CharField(max_length=64)
    source = models.ForeignKey(
        Experiment, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Labels come from it."
    )
    least_match = models.FloatField(default=0.7, help_text="The least cosine of decoder rows for a transfer.")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.QUEUED)
    features = models.PositiveIntegerField(default=0, help_text="Live features of the catalogue.")
    done = models.PositiveIntegerField(default=0, help_text="How many of them have been looked at.")
    next_index = models.PositiveIntegerField(default=0, help_text="Where it goes on after a stop.")
    CONVINCING = 0.8  # a label with this balanced accuracy or more

    labelled = models.PositiveIntegerField(default=0)
    convincing = models.PositiveIntegerField(default=0, help_text="Labels with a balanced accuracy of 0.8 or more.")
    failures = models.JSONField(default=dict, help_text="Reason to the indices of features that got no tested label.")
    agreement = models.JSONField(
        default=dict, help_text="Planted concept to the label of its feature and how that compares with the truth."
    )
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.method} for experiment {self.experiment_id}"

    @property
    def is_live(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)


class FeatureMap(models.Model):
    """The map of an experiment's features by one method: asked for, made by a worker, stored beside the weights."""

    class Method(models.TextChoices):
        PCA = "pca", "PCA"
        UMAP = "umap", "UMAP"
        TSNE = "tsne", "t-SNE"

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="feature_maps")
    method = models.CharField(max_length=8, choices=Method.choices, default=Method.PCA)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    stage = models.CharField(max_length=64, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    variance_shares = models.JSONField(null=True, blank=True, help_text="PCA: the variance along x and along y.")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["experiment", "method"]
        constraints = [models.UniqueConstraint(fields=["experiment", "method"], name="one_map_per_method")]

    def __str__(self) -> str:
        return f"{self.get_method_display()} of experiment {self.experiment_id}"

    @property
    def is_live(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def is_finished(self) -> bool:
        return self.status == self.Status.FINISHED
