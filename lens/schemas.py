"""The JSON shapes of the lens: what a program sends, and what it gets."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema

from lens.models import Analysis
from lens.services.analyses import TEXT_MAXIMUM, TOP_K_DEFAULT, TOP_K_MAXIMUM, WAIT_MAXIMUM
from lens.services.readings import ReadFeature, ReadToken, reading_of


class AnalysisIn(Schema):
    experiment: int = Field(ge=1, le=2**63 - 1, description="Id of a finished experiment.")
    text: str = Field(max_length=TEXT_MAXIMUM, description="The prompt.")
    top_k: int = Field(TOP_K_DEFAULT, ge=1, le=TOP_K_MAXIMUM, description="Features per token, strongest first.")
    wait: float = Field(
        2.0, ge=0, le=WAIT_MAXIMUM, allow_inf_nan=False, description="Seconds to wait for the answer before a 202."
    )


class ReadFeatureOut(Schema):
    id: int | None = Field(description="The feature's id in this API; null when MAX_FEATURES left it out.")
    index: int
    activation: float
    label: str | None

    @staticmethod
    def resolve_id(read: ReadFeature) -> int | None:
        return read.feature.pk

    @staticmethod
    def resolve_index(read: ReadFeature) -> int:
        return read.feature.index

    @staticmethod
    def resolve_label(read: ReadFeature) -> str | None:
        return read.feature.label


class ReadTokenOut(Schema):
    position: int
    text: str
    special: bool = Field(description="Put there by the tokenizer and not read, such as the beginning of a text.")
    active_count: int = Field(description="How many features fire on it, also those beyond top_k.")
    relative_error: float | None = Field(description="|x - x^| / |x| for the hidden state x; null if not read.")
    features: list[ReadFeatureOut]


class AnalysisOut(Schema):
    id: UUID
    experiment: int
    text: str
    status: Literal["queued", "running", "finished", "failed"]
    error: str
    url: str = Field(description="Its page.")
    tokens: list[ReadTokenOut]
    created_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_experiment(analysis: Analysis) -> int:
        return analysis.experiment_id

    @staticmethod
    def resolve_url(analysis: Analysis) -> str:
        return analysis.get_absolute_url()

    @staticmethod
    def resolve_tokens(analysis: Analysis) -> tuple[ReadToken, ...]:
        return reading_of(analysis).tokens
