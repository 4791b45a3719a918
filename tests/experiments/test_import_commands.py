"""`manage.py import_sae` and `export_sae` with the real engine, and all that a finished import is good for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from django.conf import settings
from django.core.management import CommandError, call_command
from safetensors.numpy import load_file

from experiments.engine.formats import look_into
from experiments.engine.importing import native_weights
from experiments.engine.sae import load_sae
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.models import Feature
from tests.engine.tiny_models import TEXT, WIDTH, save_tiny_model
from tests.experiments.foreign_sae import FEATURES, K, write_saelens

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = ["--evaluation-tokens", "300", "--splice-tokens", "200", "--harvest-tokens", "1000"]


@pytest.fixture
def source(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SAE, a model that it fits and a corpus, all tiny and random."""
    monkeypatch.setattr("experiments.runner.cpu_threads", lambda: 1)
    torch.set_num_threads(1)
    save_tiny_model(Path(settings.MODELS_DIR) / "tiny", "gpt2")
    text = "\n\n".join(f"{number}. {TEXT[number % len(TEXT)]}" for number in range(200))
    (data_dir / "corpus.txt").write_text(text)
    return write_saelens(data_dir / "theirs", WIDTH, rescale_acts_by_decoder_norm=True)


@pytest.fixture
def imported(source: Path) -> Experiment:
    expected = native_weights(source)
    call_command("import_sae", str(source), "--model", "tiny", *corpus(source), *SMALL, stdout=io.StringIO())
    experiment = Experiment.objects.get()
    assert torch.equal(load_sae(experiment_folder(experiment.pk)).weights.decoder, expected.decoder)
    return experiment


def corpus(source: Path) -> list[str]:
    return ["--corpus", str(source.parent / "corpus.txt")]


def test_an_import_ends_with_a_catalogue_and_quality(imported: Experiment, source: Path) -> None:
    assert (imported.status, imported.error) == ("finished", "")
    assert imported.quality["l0"] == pytest.approx(K, abs=0.5)
    assert len(imported.weights_sha256) == 64
    assert Feature.objects.filter(experiment=imported).count() == FEATURES
    printed = io.StringIO()
    call_command("evaluate", str(imported.pk), "--json", stdout=printed)
    assert json.loads(printed.getvalue())["explained_variance"] == imported.quality["explained_variance"]
    with pytest.raises(CommandError, match="Nothing was measured"):
        call_command("replay", str(imported.pk))


def test_an_import_is_trained_further_and_exported(imported: Experiment, source: Path, tmp_path: Path) -> None:
    tuning = ["--start-from", str(imported.pk), "--n-features", str(FEATURES), "--k", str(K), "--tokens", "2048"]
    short = ["--context-length", "32", *SMALL]
    call_command("train", "--model", "tiny", "--layer", "1", *corpus(source), *tuning, *short, stdout=io.StringIO())
    tuned = Experiment.objects.get(config__start__experiment=imported.pk)
    assert tuned.status == "finished"
    target = tmp_path / "out" / "sae"
    call_command("export_sae", str(tuned.pk), str(target), "--format", "saelens", stdout=io.StringIO())
    assert torch.equal(native_weights(target).encoder, load_sae(experiment_folder(tuned.pk)).weights.encoder)
    assert look_into(target).config["metadata"]["latent_lens"]["weights_sha256"] == tuned.weights_sha256
    assert load_file(target / "sae_weights.safetensors")["W_enc"].shape == (WIDTH, FEATURES)


def refusal(*arguments: Any) -> str:
    with pytest.raises(CommandError) as caught:
        call_command(*(str(argument) for argument in arguments))
    return str(caught.value)


def test_what_cannot_be_imported_is_said(source: Path) -> None:
    assert "There is no folder" in refusal("import_sae", source / "none")
    assert "choose the model" in refusal("import_sae", source)
    assert "layers 0 to" in refusal("import_sae", source, "--model", "tiny", "--layer", "9")
    (source / "sae_weights.safetensors").write_bytes(b"\x80\x04 a pickle")
    assert "is not a safetensors file" in refusal("import_sae", source, "--model", "tiny")
    assert Experiment.objects.count() == 0


def test_what_cannot_be_exported_is_said(imported: Experiment, tmp_path: Path) -> None:
    export = ("export_sae", imported.pk, tmp_path / "target")
    assert "The format must be one of saelens, sparsify." in refusal(*export, "--format", "pickle")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "cfg.json").write_text("{}")
    assert "not an empty folder" in refusal("export_sae", imported.pk, tmp_path / "full", "--format", "saelens")
    assert "There is no experiment 999" in refusal("export_sae", 999, tmp_path / "target", "--format", "saelens")
    weights = experiment_folder(imported.pk).weights
    weights.write_bytes(weights.read_bytes()[:-4])
    assert "is damaged" in refusal(*export, "--format", "sparsify")
    Experiment.objects.update(status="paused")
    assert "Only a finished experiment" in refusal(*export, "--format", "saelens")
