"""SAEs of other tools as experiments: what their files say, what people add, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from experiments import runner
from experiments.configuration_facts import explorer_values
from experiments.engine.config import ExperimentConfig
from experiments.live_page import stage_states
from experiments.models import Experiment
from experiments.services import uploads
from experiments.services.configurations import ExperimentRequest
from experiments.services.experiments import store_experiment
from experiments.services.folders import experiment_folder
from experiments.services.import_files import KeptImport, import_folder, import_folders, keep_import
from experiments.services.imports import ImportRequest, create_import, store_import
from latentlens.lib.problems import Refused, TooLarge
from tests.experiments.foreign_sae import FEATURES, K, write_saelens

WIDTH = 16  # of the model that stands for the built-in one
pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(data_dir: Path) -> Path:
    return write_saelens(data_dir / "theirs", WIDTH)


def refusal(folder: Path, model: str = "builtin", **said: Any) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        store_import(folder, ImportRequest(model, **said), "paused")
    assert Experiment.objects.count() == 0
    assert [path.name for path in Path(settings.ARTIFACTS_DIR).iterdir()] == []
    return caught.value.fields


def test_an_import_is_an_experiment_whose_files_say_what_it_is(folder: Path) -> None:
    experiment = create_import(folder, ImportRequest("builtin"))
    config = ExperimentConfig.from_json(experiment.config)
    assert (experiment.status, experiment.is_imported, experiment.steps) == ("queued", True, 0)
    assert (config.layer, config.site, config.context_length) == (1, "resid_post", 32)
    assert (experiment.architecture, experiment.n_features, experiment.k) == ("topk", FEATURES, K)
    assert experiment.name == "builtin · layer 1 · TopK 24 of SAELens"
    imported = experiment_folder(experiment.pk).imported
    assert sorted(path.name for path in imported.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    assert config.imported is not None
    assert config.imported.original == json.loads((folder / "cfg.json").read_text())
    weights = (folder / "sae_weights.safetensors").read_bytes()
    assert config.imported.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert list(Path(settings.ARTIFACTS_DIR).iterdir()) == [Path(settings.ARTIFACTS_DIR) / "experiments"]


def test_a_person_has_the_last_word(folder: Path) -> None:
    said = ImportRequest("builtin", name="Mine", layer="2", site="mlp_out", context_length="64", harvest_tokens="5000")
    experiment = store_import(folder, said, "paused")
    assert (experiment.name, experiment.layer, experiment.site) == ("Mine", 2, "mlp_out")
    assert experiment.config["context_length"] == 64
    assert experiment.config["harvest_tokens"] == 5_000


def test_what_nobody_says_is_asked_for(data_dir: Path) -> None:
    nameless = write_saelens(data_dir / "nameless", WIDTH, metadata={"sae_lens_version": "6.0.0"})
    found = refusal(nameless, model="")
    assert list(found) == ["model", "layer", "site"]
    assert found["layer"] == "Its files do not say which layer it reads: choose the layer."


def test_refusals_name_the_field(folder: Path, data_dir: Path) -> None:
    assert (
        "is for hidden states of 24 numbers; those of builtin have 16"
        in refusal(write_saelens(data_dir / "w", 24))["model"]
    )
    assert "has layers 0 to 3" in refusal(folder, layer=9)["layer"]
    assert "no transcoder" in refusal(folder, output_site="mlp_out")["output_site"]
    assert "An import has no setting “n_features”" in refusal(folder, n_features=12)["n_features"]
    assert "supported are standard, topk" in refusal(write_saelens(data_dir / "n", WIDTH, architecture="new"))["files"]
    content = (folder / "sae_weights.safetensors").read_bytes()
    (folder / "sae_weights.safetensors").write_bytes(content[:-8])
    assert "ends too early" in refusal(folder)["files"]


def test_more_than_this_machine_holds_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.services.estimates.memory_bytes", lambda: 1_000_000)
    assert "would need about" in refusal(folder)["n_features"]


def test_folders_of_imports_are_known_by_ids(data_dir: Path) -> None:
    root = Path(settings.IMPORTS_DIR)
    deep = write_saelens(root / "run" / "layers" / "layers.1", WIDTH)
    write_saelens(root / "run" / "too" / "deep" / "here", WIDTH)
    (root / "empty").mkdir()
    (root / "link").symlink_to(write_saelens(data_dir / "outside", WIDTH))
    (found,) = import_folders()
    assert found.name == "run/layers/layers.1"
    assert import_folder(found.id) == deep
    for other in ("", "../theirs", "run/layers/layers.1", "0" * 16):
        with pytest.raises(Refused, match="no such folder"):
            import_folder(other)


def test_uploads_are_kept_until_they_are_used(upload: Any, data_dir: Path, folder: Path) -> None:
    kept = keep_import(upload("any.json", (folder / "cfg.json").read_bytes()), None)
    assert not kept.is_whole
    weights = (folder / "sae_weights.safetensors").read_bytes()
    again = keep_import(None, upload("sae.safetensors", weights), KeptImport.from_signed(kept.signed()))
    assert again.is_whole
    experiment = store_import(again.folder, ImportRequest("builtin"), "paused")
    assert experiment.is_imported
    again.forget()
    with pytest.raises(Refused, match="no longer here"):
        KeptImport.from_signed(kept.signed())
    with pytest.raises(Refused, match="no longer here"):
        KeptImport.from_signed("../../etc")


def test_an_upload_that_never_ends_is_stopped(upload: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD_BYTES", 10)
    with pytest.raises(TooLarge):
        keep_import(None, upload("sae.safetensors", b"0" * 11))


def test_an_import_has_no_training_to_show(folder: Path) -> None:
    experiment = store_import(folder, ImportRequest("builtin"), "paused")
    assert [stage.title for stage in stage_states(experiment)] == ["Capture", "Evaluation", "Harvest", "Import"]
    experiment.stage = "training"
    assert [stage.state for stage in stage_states(experiment)] == ["now", "later", "later", "later"]


def test_an_import_is_a_start_for_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads to the Layer Explorer fits the import, and JumpReLU aims at as many features as were measured."""
    jumprelu = write_saelens(folder.parent / "jump", WIDTH, architecture="transcoder")
    assert "shape" not in refusal(jumprelu).get("files", "")  # it lacks d_out, and says so
    experiment = store_import(folder, ImportRequest("builtin"), "paused")
    Experiment.objects.update(status="finished", weights_sha256="ab" * 32, quality={"l0": 7.4})
    experiment.refresh_from_db()
    values = explorer_values(experiment)
    assert (values["k"], values["n_features"], values.get("training_tokens")) == (K, FEATURES, None)
    values |= {"start_from": experiment.pk, "training_tokens": 40_960}
    tuned = store_experiment(ExperimentRequest(**values), "paused")
    assert tuned.config["start"]["experiment"] == experiment.pk
    assert tuned.config["imported"] is None
    monkeypatch.setattr(runner, "resolve_device", lambda _: "cpu")
    assert runner.job_of(tuned).start_folder == experiment_folder(experiment.pk).path
    Experiment.objects.filter(pk=experiment.pk).update(architecture="jumprelu")
    experiment.refresh_from_db()
    assert explorer_values(experiment)["k"] == 7
