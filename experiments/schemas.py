"""What the API of experiments and corpora takes and gives, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict

from experiments.engine.config import SETTINGS
from experiments.models import Experiment, Metric, Sweep, TokenPreview
from experiments.services.previews import READ
from experiments.services.sweeps import MOST_EXPERIMENTS
from experiments.services.typed_settings import LISTED
from experiments.setting_schemas import TYPES, setting_schema
from experiments.setting_texts import explanation

Status = Literal["queued", "running", "paused", "finished", "failed", "cancelled"]


def _describe_settings(schema: dict[str, Any]) -> None:
    schema["properties"] |= {name: setting_schema(setting) for name, setting in SETTINGS.items()}
    schema["required"] += [name for name, setting in SETTINGS.items() if setting.is_required]
    schema["additionalProperties"] = False


class ExperimentIn(BaseModel):
    """An experiment to be made. Settings are described here and judged, whatever comes, by `configure`.

    So their refusals are the sentences that the pages and the command line have. No ninja Schema, which drops extras.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_describe_settings)

    model: str = Field(description="builtin, local:NAME (a folder of MODELS_DIR), hub:ID, or a bare name.")
    revision: str = Field("", description="Branch, tag or commit of a model on the hub.")
    corpus: int | str = Field("builtin", description="The id of a corpus, or builtin.")
    name: str = Field("", description="Left out, it is made of the model, the layer and the SAE.")
    start_from: int | None = Field(None, description="Id of a finished experiment whose SAE is trained further.")


def _describe_lists(schema: dict[str, Any]) -> None:
    _describe_settings(schema)
    for name in LISTED:
        one = schema["properties"][name]
        several = {"type": "array", "items": {**one, "type": TYPES[SETTINGS[name].kind]}, "maxItems": MOST_EXPERIMENTS}
        schema["properties"][name] = {"title": one["title"], "anyOf": [one, several]}


class SweepIn(ExperimentIn):
    """Experiments to be made: one for each combination of the values of the settings that have several."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_describe_lists)


class ProgressOut(Schema):
    step: int
    steps: int
    tokens: int
    tokens_per_second: float | None
    seconds_left: float | None
    note: str


class ExperimentOut(Schema):
    id: int
    name: str
    status: Status
    stage: str | None = Field(description="capture, training, evaluation, harvest or import; null when none began.")
    progress: ProgressOut
    model: str
    model_revision: str
    layer: int
    site: str
    corpus: int
    sweep: int | None = Field(description="The sweep that it belongs to.")
    config: dict[str, Any]
    resources: dict[str, Any] = Field(
        description="By stage: compute path, largest memory of the process and of its GPU, experiments side by side."
    )
    captured: dict[str, Any] | None = Field(description="Tokens and documents that were read, and what was left out.")
    quality: dict[str, Any] | None
    weights_sha256: str | None
    error: str | None
    is_demo: bool
    sequence: int = Field(description="Number of the newest event: `since` for the next question.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str = Field(description="The page of the experiment.")

    @staticmethod
    def resolve_corpus(experiment: Experiment) -> int:
        return experiment.corpus_id

    @staticmethod
    def resolve_sweep(experiment: Experiment) -> int | None:
        return experiment.sweep_id

    @staticmethod
    def resolve_stage(experiment: Experiment) -> str | None:
        return experiment.stage or None

    @staticmethod
    def resolve_captured(experiment: Experiment) -> dict[str, Any] | None:
        return experiment.captured or None

    @staticmethod
    def resolve_quality(experiment: Experiment) -> dict[str, Any] | None:
        return experiment.quality or None

    @staticmethod
    def resolve_weights_sha256(experiment: Experiment) -> str | None:
        return experiment.weights_sha256 or None

    @staticmethod
    def resolve_error(experiment: Experiment) -> str | None:
        return experiment.error or None

    @staticmethod
    def resolve_url(experiment: Experiment) -> str:
        return experiment.get_absolute_url()


class SweepOut(Schema):
    id: int
    name: str
    request: dict[str, Any] = Field(description="What was asked for, with the lists of values.")
    created_at: datetime
    experiments: list[int] = Field(description="The ids of its experiments, in the order of the values.")
    url: str = Field(description="The page of the sweep, with its charts.")

    @staticmethod
    def resolve_experiments(sweep: Sweep) -> list[int]:
        return sorted(experiment.pk for experiment in sweep.experiments.all())

    @staticmethod
    def resolve_url(sweep: Sweep) -> str:
        return sweep.get_absolute_url()


class SweepPage(Schema):
    items: list[SweepOut]
    next: str | None


class ExperimentPage(Schema):
    items: list[ExperimentOut]
    next: str | None


class MetricOut(Schema):
    seq: int
    step: int
    tokens: int
    values: dict[str, float | None]

    @staticmethod
    def resolve_seq(metric: Metric) -> int:
        return metric.sequence


class MetricList(Schema):
    items: list[MetricOut]
    next: int | None = Field(description="`since` for the rest; null when these are all there are now.")


class CorpusOut(Schema):
    id: int
    name: str
    source: str
    hub_id: str
    configuration: str
    split: str
    column: str
    chat_template: bool
    content_hash: str
    size_bytes: int | None
    documents: int | None
    characters: int | None
    created_at: datetime


class CorpusPage(Schema):
    items: list[CorpusOut]
    next: str | None


def _describe_preview(schema: dict[str, Any]) -> None:
    schema["properties"] |= {name: setting_schema(SETTINGS[name]) for name in READ}
    schema["additionalProperties"] = False


class PreviewIn(BaseModel):
    """What is to be read, and those settings that its windows depend on; judged as those of an experiment."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_describe_preview)

    model: str = Field(description="builtin, local:NAME (a folder of MODELS_DIR), hub:ID, or a bare name.")
    revision: str = Field("", description="Branch, tag or commit of a model on the hub.")


class PreviewTokenOut(Schema):
    text: str
    special: bool
    padding: bool
    begins: bool = Field(description="Whether it is the first of its document in the window.")


class PreviewOut(Schema):
    id: int
    corpus: int
    model: str
    windows: list[list[PreviewTokenOut]] | None = Field(description="The first windows; null while a worker reads.")
    tokens_per_character: float | None
    estimated_tokens: int | None = Field(description="Of the whole corpus; null where its size is not known.")
    error: str | None

    @staticmethod
    def resolve_corpus(preview: TokenPreview) -> int:
        return preview.corpus_id

    @staticmethod
    def resolve_windows(preview: TokenPreview) -> Any:
        return preview.result and preview.result["windows"]

    @staticmethod
    def resolve_error(preview: TokenPreview) -> str | None:
        return preview.error or None


class ImportFolderOut(Schema):
    id: str = Field(description="What stands for it as `folder` of an import.")
    name: str = Field(description="Where it is below IMPORTS_DIR.")


def _text_of(setting: str) -> Any:
    return Field("", description=explanation(SETTINGS[setting]))


class ImportIn(Schema):
    """What the files of an SAE do not say, or say otherwise. Settings are text: the service judges them."""

    folder: str = Field("", description="Id of a folder below IMPORTS_DIR, instead of files.")
    model: str = Field("", description="builtin, local:NAME (a folder of MODELS_DIR), hub:ID, or a bare name.")
    revision: str = Field("", description="Branch, tag or commit of a model on the hub.")
    corpus: str = Field("builtin", description="The id of a corpus, or builtin.")
    name: str = Field("", description="Left out, it is made of the model, the layer and the SAE.")
    layer: str = _text_of("layer")
    site: str = _text_of("site")
    output_site: str = _text_of("output_site")
    dtype: str = _text_of("dtype")
    context_length: str = _text_of("context_length")
    packing: str = _text_of("packing")
    deduplicate: str = _text_of("deduplicate")
    streaming: str = _text_of("streaming")
    evaluation_tokens: str = _text_of("evaluation_tokens")
    splice_tokens: str = _text_of("splice_tokens")
    harvest_tokens: str = _text_of("harvest_tokens")
    variants: str = _text_of("variants")


class HubCorpusIn(Schema):
    hub_id: str = Field(description="name or org/name of a data set on the hub.")
    configuration: str = ""
    split: str = "train"
    column: str = ""
    chat: bool = Field(False, description="The column holds conversations: lists of messages with role and content.")


class CacheEntryOut(Schema):
    """Something that is kept on disk because experiments share it."""

    key: str
    kind: str
    title: str
    size_bytes: int
    experiments: list[int]
    last_used: datetime
    in_use: bool


class CacheOut(Schema):
    """All of the cache. The quota is that of hidden states."""

    size_bytes: int
    hidden_state_bytes: int
    quota_bytes: int
    entries: list[CacheEntryOut]
