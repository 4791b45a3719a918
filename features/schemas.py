"""What the API of features takes and gives, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema

from features.density import wilson_interval
from features.models import Feature, Label
from features.services.gallery import GalleryFilter, OrderingName
from latentlens.lib.paging import DEFAULT_LIMIT, MAXIMUM_LIMIT


class PageQuery(Schema):
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAXIMUM_LIMIT)
    cursor: str | None = Field(None, description="The `next` of the page before.")


class FeatureQuery(GalleryFilter, PageQuery):
    experiment: int
    ordering: OrderingName | None = Field(
        None, description="-density where nothing is said; -closeness with like, cofiring or analysis."
    )


class LabelIn(Schema):
    text: str
    note: str = ""
    tags: list[str] = []
    confidence: float | None = Field(None, description="0 (a guess) to 1 (sure).")


class LabelEdit(LabelIn):
    version: int | None = Field(None, description="The version that was read; refused (409) if it is not the newest.")


class LabelOut(Schema):
    id: int
    version: int = Field(description="Counts its changes.")
    text: str
    note: str
    tags: list[str]
    confidence: float | None
    author: str | None = Field(description="The person, with the API key's name if one was used, or the method.")
    method: str = Field(description="The machine's method; empty: a person wrote it.")
    review: str = Field(description="Empty, pending, approved or rejected.")
    score: float | None = Field(description="Balanced accuracy of its newest detection test.")
    match_score: float | None = Field(description="Of a transferred label: how well the two features match.")
    is_current: bool
    created_at: datetime
    changed_at: datetime

    @staticmethod
    def resolve_tags(label: Label) -> list[str]:
        return label.tag_names

    @staticmethod
    def resolve_author(label: Label) -> str | None:
        return label.who or None


class LabelList(Schema):
    items: list[LabelOut]
    next: None = None


class LabelRevisionOut(Schema):
    version: int
    action: str
    text: str
    note: str
    tags: list[str]
    confidence: float | None
    review: str
    who: str
    at: datetime


class LabelHistory(Schema):
    items: list[LabelRevisionOut]
    next: None = None


class FeatureItem(Schema):
    """A feature as lists show it."""

    id: int
    experiment: int
    index: int
    label: str | None
    tags: list[str]
    tokens: int = Field(description="Tokens that were harvested.")
    firings: int = Field(description="Those on which it fires.")
    documents: int = Field(description="Documents in which it fires.")
    density: float = Field(description="firings / tokens")
    density_interval: tuple[float, float] = Field(description="95 % Wilson interval of the density.")
    max_activation: float
    mean_activation: float = Field(description="Mean over its firings.")
    concept: str | None
    concept_f1: float | None
    token_share: float = Field(description="Share of its firings that are on its most frequent token.")
    closeness: float | None = Field(
        None, description="With like (cosine), cofiring (Jaccard) or analysis (activation)."
    )
    top_tokens: list[str] = Field(description="The texts of the tokens on which it fires most often.")

    @staticmethod
    def resolve_experiment(feature: Feature) -> int:
        return feature.experiment_id

    @staticmethod
    def resolve_label(feature: Any) -> str | None:
        return next((label.text for label in feature.current_labels), None)

    @staticmethod
    def resolve_tags(feature: Any) -> list[str]:
        return [tag.name for label in feature.current_labels for tag in label.tags.all()]

    @staticmethod
    def resolve_density_interval(feature: Feature) -> tuple[float, float]:
        return wilson_interval(feature.firings, feature.tokens)

    @staticmethod
    def resolve_concept(feature: Feature) -> str | None:
        return feature.concept or None

    @staticmethod
    def resolve_top_tokens(feature: Feature) -> list[str]:
        texts: list[str] = feature.card["tokens"]
        return texts


class FeatureList(Schema):
    items: list[FeatureItem]
    next: str | None


class Histogram(Schema):
    edges: list[float] = Field(description="n + 1 rising edges; of activations even on a logarithmic axis.")
    counts: list[int]


class Quantile(Schema):
    share: float
    activation: float


class TopToken(Schema):
    token: int
    text: str
    firings: int
    share: float = Field(description="Share of the feature's firings.")
    occurrences: int = Field(description="How often the token stands in the harvested text.")


class TokenLogit(Schema):
    token: int
    text: str
    logit: float = Field(description="What one unit of activation adds, read by the unembedding.")


class NearFeature(Schema):
    index: int
    cosine: float


class InputDimension(Schema):
    dimension: int = Field(description="Of the hidden state.")
    weight: float = Field(description="The component of the encoder row.")
    share: float = Field(description="|weight| / the row's L1 norm.")


class ConceptMatch(Schema):
    name: str
    precision: float
    recall: float
    f1: float


class Summary(Schema):
    histogram: Histogram
    quantiles: list[Quantile]
    top_tokens: list[TopToken]
    promoted: list[TokenLogit]
    suppressed: list[TokenLogit]
    logit_histogram: Histogram | None = Field(None, description="Of all tokens; null of an older index.")
    nearest: list[NearFeature] = Field(description="By decoder direction.")
    nearest_by_encoder: list[NearFeature] = []
    inputs: list[InputDimension] = Field([], description="The largest components of its encoder row.")
    concept: ConceptMatch | None


class FeatureDetail(FeatureItem):
    """A feature with the evidence of its page."""

    summary: Summary


class ExampleToken(Schema):
    text: str
    activation: float
    position: int
