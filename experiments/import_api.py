"""The API of imports and exports; each operation calls the service that the page calls."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse
from ninja import File, Form, Router, Status, UploadedFile

from experiments import schemas
from experiments.services.experiments import experiment_by_id
from experiments.services.exports import zip_name, zipped_sae
from experiments.services.import_files import import_folder, import_folders, keep_import
from experiments.services.imports import ImportRequest, create_import
from latentlens.lib.api_responses import REFUSALS, ProblemBody
from latentlens.lib.problems import refused_field

router = Router(tags=["imports"])
exports_router = Router(tags=["imports"])
TOO_LARGE = {413: ProblemBody}


@router.get("/folders", response={200: list[schemas.ImportFolderOut], **REFUSALS}, operation_id="list_import_folders")
def list_folders(request: HttpRequest) -> Any:
    """The folders below IMPORTS_DIR that hold an SAE of another tool."""
    return import_folders()


@router.post("", response={201: schemas.ExperimentOut, **REFUSALS, **TOO_LARGE}, operation_id="import_sae")
def import_sae(
    request: HttpRequest,
    response: HttpResponse,
    wanted: Form[schemas.ImportIn],
    config: File[UploadedFile | None] = None,
    weights: File[UploadedFile | None] = None,
) -> Any:
    """Makes an experiment of an SAE that another tool has trained, and queues it: two files, or `folder`.

    What is left out is as its files say.
    """
    given = wanted.model_dump()
    folder = given.pop("folder")
    asked = ImportRequest(**given)
    if folder:
        experiment = create_import(import_folder(folder), asked)
    elif config is None or weights is None:
        raise refused_field("weights", "Send two files, config and weights (.safetensors), or name a folder.")
    else:
        kept = keep_import(config, weights)
        try:
            experiment = create_import(kept.folder, asked)
        finally:
            kept.forget()
    response["Location"] = f"/api/experiments/{experiment.pk}"
    return Status(201, experiment)


@exports_router.get("/{experiment_id}/sae", response={200: bytes, **REFUSALS}, operation_id="export_sae")
def export_sae(request: HttpRequest, experiment_id: int, format: str) -> Any:
    """The SAE of a finished experiment as another tool would save it, in a zip archive: `saelens` or `sparsify`."""
    experiment = experiment_by_id(experiment_id)
    archive = zipped_sae(experiment, format)
    return FileResponse(archive, as_attachment=True, filename=zip_name(experiment, format))
