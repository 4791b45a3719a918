"""What the API of a feature's evidence takes and gives, field by field."""

from __future__ import annotations

from typing import Literal

from ninja import Field, Schema

from features.schemas import ExampleToken, PageQuery
from features.services import firing_evidence as evidence


class ExampleQuery(PageQuery):
    limit: int = Field(evidence.EXAMPLES, ge=1, le=evidence.MOST_EXAMPLES)
    show: Literal["documents", "firings"] = Field("documents", description="One example per document, or every firing.")


class StrataQuery(Schema):
    seed: int = Field(0, ge=0, le=evidence.MAXIMUM_SEED, description="Another seed draws other examples.")
    count: int = Field(
        evidence.EXAMPLES_PER_STRATUM, ge=1, le=evidence.MOST_EXAMPLES, description="Examples of each part."
    )


class NearMissQuery(Schema):
    seed: int = Field(0, ge=0, le=evidence.MAXIMUM_SEED)
    count: int = Field(evidence.NEAR_MISSES, ge=1, le=evidence.MOST_EXAMPLES)


class CoFiringQuery(Schema):
    within: int = Field(0, ge=0, le=evidence.MOST_TOKENS_NEAR, description="0: the same token.")
    count: int = Field(evidence.CO_FIRING, ge=1, le=evidence.MOST_EXAMPLES)


class TokenQuery(Schema):
    count: int = Field(evidence.TOKENS, ge=1, le=evidence.MOST_EXAMPLES)


class DocumentQuery(Schema):
    position: int = Field(ge=0, le=evidence.MAXIMUM_POSITION, description="A position in the document.")


class EvidenceQuery(Schema):
    format: Literal["json", "csv"] = "json"


class ExampleOut(Schema):
    rank: int
    activation: float
    position: int = Field(description="Where in the harvested text its strongest token stands.")
    document: int
    kind: str | None
    tokens: list[ExampleToken]


class ExampleList(Schema):
    items: list[ExampleOut]
    next: str | None
    total: int = Field(description="Documents in which it fires, or firings.")


class StratumOut(Schema):
    low_share: float = Field(description="Quantiles of the firings: 0 is the weakest, 1 the strongest.")
    high_share: float
    low: float = Field(description="The least activation in it.")
    high: float
    firings: int
    examples: list[ExampleOut] = Field(description="Ranks are among all firings.")


class StratumList(Schema):
    seed: int
    items: list[StratumOut] = Field(description="Strongest first.")


class NearMissOut(Schema):
    position: int
    document: int
    kind: str | None
    token: str
    same_previous: bool = Field(description="The token before is that of a firing too.")
    tokens: list[ExampleToken]


class NearMissList(Schema):
    seed: int
    items: list[NearMissOut]


class CoFiringOut(Schema):
    index: int
    label: str | None
    both: int = Field(description="On how many of its firings it fires near this feature.")
    firings: int
    jaccard: float
    pmi: float = Field(description="Bits; 0 is chance.")


class CoFiringList(Schema):
    within: int
    tokens_near: int = Field(description="Tokens that are at most so far from a firing of this feature.")
    items: list[CoFiringOut]


class TokenUseOut(Schema):
    token: int
    text: str
    firings: int
    share: float = Field(description="Of the feature's firings: precision.")
    occurrences: int
    recall: float = Field(description="Of the token's occurrences, those on which it fires.")


class TokenUseList(Schema):
    items: list[TokenUseOut]


class WindowBinOut(Schema):
    first: int = Field(description="Offsets in the window, both included.")
    last: int
    firings: int
    tokens: int
    density: float


class WindowBinList(Schema):
    items: list[WindowBinOut]


class DocumentOut(Schema):
    document: int
    kind: str | None
    is_start: bool = Field(description="It begins with the document's first token.")
    is_end: bool
    tokens: list[ExampleToken]
