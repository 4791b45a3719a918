"""A finished SAE in the files of another tool: one service for the page, the API and the command."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from experiments.engine.artifacts import ArtifactError, verify_sha256
from experiments.engine.formats import EXPORTS, FormatError, export
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from latentlens.lib.problems import Conflict, Refused, refused_field


def export_sae(experiment: Experiment, name: str, target: Path) -> tuple[Path, ...]:
    """Writes the SAE of `experiment` into the folder `target` in a format of EXPORTS; returns the files.

    Raises Refused for a format that there is not or that cannot hold it, Conflict before it has finished.
    """
    if name not in EXPORTS:
        raise refused_field("format", f"The format must be one of {', '.join(EXPORTS)}.")
    if experiment.status != Experiment.Status.FINISHED:
        raise Conflict("Only a finished experiment can be exported.")
    folder = experiment_folder(experiment.pk)
    try:
        verify_sha256(folder.weights, experiment.weights_sha256 or None)
        return export(name, folder, target, _provenance(experiment))
    except (FormatError, ArtifactError) as error:
        raise Refused(str(error)) from error


def zipped_sae(experiment: Experiment, name: str) -> BinaryIO:
    """The same files in one zip archive, which is gone from disk when it is closed. Weights do not compress."""
    root = Path(settings.ARTIFACTS_DIR)
    with tempfile.TemporaryDirectory(dir=root, prefix="export-") as made:
        files = export_sae(experiment, name, Path(made))
        archive = tempfile.TemporaryFile(dir=root, prefix="export-")  # noqa: SIM115 - whoever sends it closes it
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for path in files:
                packed.write(path, path.name)
                path.unlink()
    archive.seek(0)
    return archive


def zip_name(experiment: Experiment, name: str) -> str:
    """What the download is called."""
    return f"experiment-{experiment.pk}-{name}.zip"


@dataclass(frozen=True)
class ExportFormat:
    """A format by the name that addresses use, and the tool's own."""

    name: str
    tool: str


def possible_formats(experiment: Experiment) -> list[ExportFormat]:
    """The formats that can hold the SAE of this experiment."""
    is_transcoder = bool(experiment.config.get("sae", {}).get("output_site"))
    return [
        ExportFormat(name, writer.TOOL)
        for name, writer in EXPORTS.items()
        if writer.holds(experiment.architecture, is_transcoder=is_transcoder)
    ]


def _provenance(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.pk,
        "name": experiment.name,
        "model": experiment.model,
        "model_revision": experiment.model_revision,
        "weights_sha256": experiment.weights_sha256,
    }
