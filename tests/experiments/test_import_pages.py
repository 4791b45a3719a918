"""Importing and exporting in the browser and by the API: the same service, and nothing that was sent is lost."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from experiments.models import Experiment
from experiments.schemas import ImportIn
from experiments.services import uploads
from experiments.services.folders import experiment_folder
from experiments.services.import_files import import_folders
from experiments.services.imports import OF_IMPORTS, ImportRequest, store_import
from tests.engine.formats.test_round_trip import saved
from tests.experiments.foreign_sae import write_saelens

Upload = Callable[..., Any]
WIDTH = 16  # of the model that stands for the built-in one
ADDRESS = "/experiments/import/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(data_dir: Path) -> Path:
    return write_saelens(data_dir / "theirs", WIDTH)


@pytest.fixture
def offered(data_dir: Path) -> str:
    """The id of a folder below IMPORTS_DIR."""
    write_saelens(Path(settings.IMPORTS_DIR) / "run" / "layers.1", WIDTH)
    return import_folders()[0].id


def files(
    folder: Path, upload: Upload, *, config: str = "config_file", weights: str = "weights_file"
) -> dict[str, Any]:
    return {
        config: upload("cfg.json", (folder / "cfg.json").read_bytes()),
        weights: upload("sae.safetensors", (folder / "sae_weights.safetensors").read_bytes()),
    }


def test_an_upload_is_imported(page_client: Client, folder: Path, upload: Upload) -> None:
    answer = page_client.post(ADDRESS, {"model": "builtin", "layer": "2"} | files(folder, upload))
    experiment = Experiment.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, experiment.get_absolute_url())
    assert (experiment.layer, experiment.status) == (2, "queued")
    page = page_client.get(experiment.get_absolute_url()).content.decode()
    assert "imported from SAELens" in page
    assert "The config that came with it" in page
    assert "&quot;d_sae&quot;: 24" in page
    assert "Training tokens" not in page
    assert list((Path(settings.ARTIFACTS_DIR) / "import-uploads").iterdir()) == []


def test_files_are_looked_at_and_kept(page_client: Client, folder: Path, upload: Upload) -> None:
    answer = page_client.post(ADDRESS, {"look": "1"} | files(folder, upload))
    assert answer.status_code == 200
    assert answer.context["found"].n_features == 24
    assert Experiment.objects.count() == 0
    kept = answer.context["form"].text("kept_upload")
    refused = page_client.post(ADDRESS, {"kept_upload": kept})
    assert refused.status_code == 422
    assert "choose the model" in refused.context["form"].errors["model"][0]
    assert "Both files are kept from before" in refused.content.decode()
    again = refused.context["form"].text("kept_upload")
    assert page_client.post(ADDRESS, {"kept_upload": again, "model": "builtin"}).status_code == 302


def test_a_folder_is_chosen_by_its_id(page_client: Client, offered: str) -> None:
    page = page_client.get(ADDRESS, {"folder": offered})
    assert page.context["found"].tool == "SAELens"
    assert "run/layers.1" in page.content.decode()
    assert page_client.post(ADDRESS, {"folder": offered, "model": "builtin"}).status_code == 302
    assert Experiment.objects.get().is_imported


def test_a_path_is_no_folder(page_client: Client, folder: Path) -> None:
    answer = page_client.post(ADDRESS, {"folder": str(folder), "model": "builtin"})
    assert answer.status_code == 422
    assert "no such folder" in answer.context["form"].errors["folder"][0]


@pytest.mark.parametrize("weights", [b"\x80\x04 a pickle", b"PK\x03\x04 a zipped pickle"])
def test_files_that_are_none_are_refused(page_client: Client, folder: Path, upload: Upload, weights: bytes) -> None:
    sent = files(folder, upload) | {"weights_file": upload("sae.safetensors", weights)}
    answer = page_client.post(ADDRESS, {"model": "builtin"} | sent)
    assert answer.status_code == 422
    assert "not a safetensors file" in answer.context["form"].errors["weights_file"][0]
    assert page_client.post(ADDRESS, {"model": "builtin"}).context["form"].errors["weights_file"]
    assert Experiment.objects.count() == 0


def test_a_file_without_an_end_is_refused(
    page_client: Client, folder: Path, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD_BYTES", 1_000)
    answer = page_client.post(ADDRESS, {"model": "builtin"} | files(folder, upload))
    assert answer.status_code == 413
    assert "which is the limit" in answer.content.decode()


def test_the_list_leads_to_the_import(page_client: Client, data_dir: Path) -> None:
    assert f'href="{ADDRESS}"' in page_client.get("/experiments/").content.decode()
    assert page_client.get(ADDRESS).status_code == 200


def test_the_api_takes_files_and_folders(api_client: Client, folder: Path, offered: str, upload: Upload) -> None:
    sent = files(folder, upload, config="config", weights="weights") | {"model": "builtin", "name": "Theirs"}
    answer = api_client.post("/api/imports", sent)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert answer["Location"] == f"/api/experiments/{made['id']}"
    assert made["config"]["imported"]["tool"] == "SAELens"
    assert api_client.get("/api/imports/folders").json() == [{"id": offered, "name": "run/layers.1"}]
    second = api_client.post("/api/imports", {"folder": offered, "model": "builtin", "harvest_tokens": "4000"})
    assert second.json()["config"]["harvest_tokens"] == 4_000


def test_the_api_takes_every_setting_of_imports() -> None:
    assert set(OF_IMPORTS) <= set(ImportIn.model_fields)


def test_the_api_refuses_in_sentences(api_client: Client, folder: Path, upload: Upload) -> None:
    assert "Send two files" in api_client.post("/api/imports", {"model": "builtin"}).json()["error"]["message"]
    sent = files(folder, upload, config="config", weights="weights")
    answer = api_client.post("/api/imports", sent | {"model": "builtin", "layer": "top"})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["layer"])
    unknown = api_client.post("/api/imports", {"folder": "../etc", "model": "builtin"})
    assert list(unknown.json()["error"]["fields"]) == ["folder"]
    assert Experiment.objects.count() == 0


@pytest.fixture
def finished(folder: Path) -> Experiment:
    """A finished experiment with the files of a TopK SAE."""
    experiment = store_import(folder, ImportRequest("builtin"), "paused")
    saved(experiment_folder(experiment.pk).path, "topk")
    resources = {"capture": {"path": "one thread", "memory_bytes": 10**9, "gpu_memory_bytes": None}}
    Experiment.objects.update(status="finished", quality={}, resources=resources)
    experiment.refresh_from_db()
    return experiment


@pytest.mark.parametrize(
    ("name", "names"),
    [("saelens", ["cfg.json", "sae_weights.safetensors"]), ("sparsify", ["cfg.json", "sae.safetensors"])],
)
def test_an_sae_is_downloaded(
    page_client: Client, api_client: Client, finished: Experiment, name: str, names: list[str]
) -> None:
    page = page_client.get(finished.get_absolute_url()).content.decode()
    assert f"/experiments/{finished.pk}/export/{name}/" in page
    assert "measured at most" in page
    answers = [
        page_client.get(f"/experiments/{finished.pk}/export/{name}/"),
        api_client.get(f"/api/experiments/{finished.pk}/sae", {"format": name}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
            assert archive.namelist() == names
            assert json.loads(archive.read("cfg.json"))["d_in"] == 10
    assert sorted(path.name for path in Path(settings.ARTIFACTS_DIR).iterdir()) == ["experiments"]


def test_what_cannot_be_downloaded_is_said(page_client: Client, api_client: Client, finished: Experiment) -> None:
    address = f"/api/experiments/{finished.pk}/sae"
    assert api_client.get(address, {"format": "pickle"}).json()["error"]["fields"]["format"].startswith("The format")
    Experiment.objects.update(architecture="gated")
    assert "/export/sparsify/" not in page_client.get(finished.get_absolute_url()).content.decode()
    Experiment.objects.update(status="paused")
    assert api_client.get(address, {"format": "saelens"}).status_code == 409
    answer = page_client.get(f"/experiments/{finished.pk}/export/saelens/", follow=True)
    assert "Only a finished experiment can be exported." in answer.content.decode()
    assert page_client.get("/experiments/999/export/saelens/").status_code == 404
