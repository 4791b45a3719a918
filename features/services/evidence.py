"""Everything a feature's page shows beside its examples, gathered in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from experiments.models import Experiment
from features.density import Interval, wilson_interval
from features.models import DetectionTest, Feature, Label
from features.services.labels import labels_of
from latentlens.lib.histogram import Histogram, draw
from latentlens.lib.problems import NotFound


@dataclass(frozen=True)
class Neighbour:
    """A feature whose direction is near; `in_catalogue` is False where MAX_FEATURES left it out."""

    index: int
    cosine: float
    label: str | None
    in_catalogue: bool


@dataclass(frozen=True)
class ConceptMatch:
    """How well the feature's firing finds the planted concept that it matches best, on held-out text."""

    name: str
    title: str
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Evidence:
    feature: Feature
    previous: int | None
    next: int | None
    labels: list[Label]
    withdrawn: list[Label]
    density: Interval
    histogram: Histogram | None
    logit_histogram: Histogram | None
    nearest: list[Neighbour]  # by decoder direction
    nearest_by_encoder: list[Neighbour]
    concept: ConceptMatch | None
    detection: DetectionTest | None

    @property
    def current_label(self) -> Label | None:
        return next((label for label in self.labels if label.is_current), None)

    @property
    def silent_tokens(self) -> int:
        return self.feature.tokens - self.feature.firings


def find_feature(**lookup: int) -> Feature:
    """One feature with its experiment, by `id` or by `experiment` and `index`. Raises `NotFound`."""
    try:
        return Feature.objects.select_related("experiment").get(**lookup)
    except (Feature.DoesNotExist, OverflowError):
        raise NotFound("There is no such feature.") from None


def evidence_of(experiment_id: int, index: int) -> Evidence:
    """The evidence for one feature, in five queries. Raises `NotFound`."""
    feature = _with_neighbouring_indices(experiment_id).filter(index=index).first()
    if feature is None:
        raise NotFound("There is no such feature.")
    summary = feature.summary
    labels = list(labels_of(feature.pk))
    by_decoder, by_encoder = summary["nearest"], summary.get("nearest_by_encoder", [])
    near_labels = labels_at(experiment_id, {near["index"] for near in by_decoder + by_encoder})
    logits = summary.get("logit_histogram")  # of an older index, or where nothing linear leads to the logits: None
    return Evidence(
        feature=feature,
        previous=feature.previous,
        next=feature.next,
        labels=[label for label in labels if label.withdrawn_at is None],
        withdrawn=[label for label in labels if label.withdrawn_at is not None],
        density=wilson_interval(feature.firings, feature.tokens),
        histogram=draw(summary["histogram"]["edges"], summary["histogram"]["counts"]),
        logit_histogram=logits and draw(logits["edges"], logits["counts"], is_logarithmic=False),
        nearest=_neighbours(by_decoder, near_labels),
        nearest_by_encoder=_neighbours(by_encoder, near_labels),
        concept=_concept(feature.experiment, summary["concept"]),
        detection=_newest_test(labels),
    )


def concept_titles(experiment: Experiment) -> dict[str, str]:
    """Name to title of the concepts planted in the experiment's corpus; empty where none are known."""
    rows = (experiment.quality.get("concepts") or {}).get("rows", [])
    return {row["concept"]: row["title"] for row in rows}


def _with_neighbouring_indices(experiment_id: int) -> QuerySet[Any]:
    """Features with `previous` and `next`: the indices beside theirs in the catalogue, which may have gaps."""
    others = Feature.objects.filter(experiment=experiment_id).values("index")
    return (
        Feature.objects.filter(experiment=experiment_id)
        .select_related("experiment")
        .annotate(
            previous=Subquery(others.filter(index__lt=OuterRef("index")).order_by("-index")[:1]),
            next=Subquery(others.filter(index__gt=OuterRef("index")).order_by("index")[:1]),
        )
    )


def labels_at(experiment_id: int, indices: Iterable[int]) -> dict[int, str | None]:
    """The current label (None: there is none) of those of the features that are in the catalogue, in one query."""
    label = Label.objects.filter(feature=OuterRef("pk"), is_current=True).values("text")[:1]
    found = Feature.objects.filter(experiment=experiment_id, index__in=list(indices))
    return dict(found.annotate(label=Subquery(label)).values_list("index", "label"))


def _neighbours(near: list[dict[str, Any]], labels: dict[int, str | None]) -> list[Neighbour]:
    return [Neighbour(row["index"], row["cosine"], labels.get(row["index"]), row["index"] in labels) for row in near]


def _newest_test(labels: list[Label]) -> DetectionTest | None:
    """The newest detection test of the current label."""
    current = next((label for label in labels if label.is_current), None)
    return None if current is None else DetectionTest.objects.filter(label=current).first()


def _concept(experiment: Experiment, concept: dict[str, Any] | None) -> ConceptMatch | None:
    if concept is None:
        return None
    title = concept_titles(experiment).get(concept["name"], concept["name"])
    return ConceptMatch(concept["name"], title, concept["precision"], concept["recall"], concept["f1"])
