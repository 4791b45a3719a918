"""The API of labels in files: export, and import with a dry run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Field, File, Query, Router, Schema, Status
from ninja.files import UploadedFile

from experiments.models import Experiment
from features.models import LabelImport, MachineLabelling
from features.services import label_files, machine_labels
from features.services.concept_agreement import AgreementReport, agreement_report
from features.services.gallery import GalleryFilter, refuse_unknown_names
from features.services.label_transfer import start_transfer
from latentlens.lib.api_responses import REFUSALS, ProblemBody
from latentlens.lib.downloads import download
from latentlens.lib.problems import NotFound

router = Router(tags=["labels"])
_TOO_LARGE = {413: ProblemBody}


class ExportQuery(GalleryFilter, Schema):
    experiment: int
    contents: Literal["labels", "features"] = "labels"
    format: Literal["csv", "json", "jsonl", "parquet", "h5"] = "jsonl"


class LabelImportOut(Schema):
    id: int
    experiment: int
    filename: str
    format: str
    status: str = Field(description="checking, checked, applying, applied or failed.")
    report: dict[str, Any] = Field(
        description="Rows that are new, same, changed, conflicting, unknown (no such feature) or refused; `problems`."
    )
    error: str
    rows_done: int
    created_at: datetime
    applied_at: datetime | None

    @staticmethod
    def resolve_experiment(row: LabelImport) -> int:
        return row.experiment_id


class MachineLabellingOut(Schema):
    id: int
    experiment: int
    method: str
    status: str = Field(description="queued, running, finished, cancelled or failed.")
    features: int = Field(description="Live features of the catalogue.")
    done: int
    labelled: int
    convincing: int = Field(description="Labels with a balanced accuracy of 0.8 or more on held-out windows.")
    failures: dict[str, list[int]] = Field(description="Reason to the indices of features without a tested label.")
    agreement: AgreementReport | None = Field(
        description="The labels against the concepts planted in the corpus, where these are known."
    )
    error: str

    @staticmethod
    def resolve_experiment(row: MachineLabelling) -> int:
        return row.experiment_id

    @staticmethod
    def resolve_agreement(row: MachineLabelling) -> AgreementReport | None:
        return agreement_report(row)


class TransferIn(Schema):
    source: int = Field(description="The experiment that the labels come from.")
    least_match: float = Field(0.7, ge=0.1, le=1, description="The least cosine of decoder rows.")


class ApplyIn(Schema):
    take_conflicting: bool = Field(False, description="Labels that changed here too are replaced by the file's.")


@router.get("/export", response={200: None, **REFUSALS}, operation_id="export_labels")
def export_labels(request: HttpRequest, query: Query[ExportQuery]) -> Any:
    """A file of labels, or of features with their labels, filtered as lists are."""
    _experiment(query.experiment)
    refuse_unknown_names(request.GET, ExportQuery.model_fields)
    made = label_files.export(query.experiment, query, query.contents, label_files.format_named(query.format))
    return download(request, made.file, made.filename, made.media_type)


@router.post("/imports", response={201: LabelImportOut, **_TOO_LARGE, **REFUSALS}, operation_id="start_label_import")
def start_label_import(request: HttpRequest, experiment: int, file: File[UploadedFile]) -> Status[LabelImport]:
    """Keeps a file of labels and checks it; nothing is written before `apply`."""
    return Status(201, label_files.start_import(_experiment(experiment), file, request.user))  # type: ignore[arg-type]


@router.get("/imports/{import_id}", response={200: LabelImportOut, **REFUSALS}, operation_id="get_label_import")
def get_label_import(request: HttpRequest, import_id: int) -> LabelImport:
    return _import(import_id)


@router.post(
    "/imports/{import_id}/apply", response={202: LabelImportOut, **REFUSALS}, operation_id="apply_label_import"
)
def apply_label_import(request: HttpRequest, import_id: int, choice: ApplyIn) -> Status[LabelImport]:
    """Writes a checked import; again, it goes on where it was cut off."""
    row = _import(import_id)
    label_files.ask_to_apply(row, take_conflicting=choice.take_conflicting)
    return Status(202, row)


@router.delete("/imports/{import_id}", response={204: None, **REFUSALS}, operation_id="discard_label_import")
def discard_label_import(request: HttpRequest, import_id: int) -> Status[None]:
    """Forgets an import and its file; labels that it has written stay."""
    label_files.discard_import(_import(import_id))
    return Status(204, None)


@router.post("/machine", response={202: MachineLabellingOut, **REFUSALS}, operation_id="start_machine_labelling")
def start_machine_labelling(
    request: HttpRequest, experiment: int, explainer: bool = False, most: int | None = None
) -> Status[MachineLabelling]:
    """Lets a worker explain, test and label the features: by counting, or (`explainer`) by the installation's model."""
    user = request.user if isinstance(request.user, User) else None
    asked = machine_labels.endpoint_method() or machine_labels.ENDPOINT_PREFIX
    method = asked if explainer else machine_labels.METHOD
    return Status(202, machine_labels.start_labelling(_experiment(experiment), method, user, most))


@router.post("/transfer", response={202: MachineLabellingOut, **REFUSALS}, operation_id="transfer_labels")
def transfer_labels(request: HttpRequest, experiment: int, content: TransferIn) -> Status[MachineLabelling]:
    """Takes over the current labels of another experiment, where features match, to be reviewed."""
    user = request.user if isinstance(request.user, User) else None
    source = _experiment(content.source)
    return Status(202, start_transfer(_experiment(experiment), source, user, content.least_match))


@router.get(
    "/machine/{labelling_id}", response={200: MachineLabellingOut, **REFUSALS}, operation_id="get_machine_labelling"
)
def get_machine_labelling(request: HttpRequest, labelling_id: int) -> MachineLabelling:
    row = MachineLabelling.objects.filter(pk=labelling_id).first()
    if row is None:
        raise NotFound("There is no such pass of a machine.")
    return row


def _experiment(experiment_id: int) -> Experiment:
    experiment = Experiment.objects.filter(pk=experiment_id).first()
    if experiment is None:
        raise NotFound("There is no such experiment.")
    return experiment


def _import(import_id: int) -> LabelImport:
    row = LabelImport.objects.filter(pk=import_id).first()
    if row is None:
        raise NotFound("There is no such import of labels.")
    return row
