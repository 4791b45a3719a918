"""The Layer Explorer: layers before loading, the estimate, starting, and a form that loses nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments.models import Corpus, Experiment, HubModel
from experiments.services import language_models
from experiments.services.workers import record_heartbeat
from tests.experiments.conftest import write_model

Upload = Callable[[str, str | bytes], Any]
NEW = "/experiments/new/"
TEXT = "A paragraph of text that goes on for a while.\n\n" * 20


def sent(**changes: Any) -> dict[str, Any]:
    form = {
        "model": "builtin", "layer": "1", "site": "resid_post", "corpus": "builtin", "architecture": "topk",
        "n_features": "64", "k": "4", "training_tokens": "40960", "seed": "0", "name": "",
    }  # fmt: skip
    return form | changes


def page(client: Client, **query: str) -> str:
    response = client.get(NEW, query)
    assert response.status_code == 200
    return str(response.content.decode())


def errors(text: str) -> list[str]:
    return re.findall(r'class="field-error"[^>]*>([^<]+)<', text)


def test_the_layers_of_the_built_in_model(page_client: Client, data_dir: Path) -> None:
    text = page(page_client)
    assert "4 layers of width 16, 1,184 parameters" in text
    assert text.count("256 parameters") == 4  # of each block
    assert re.findall(r'name="layer" value="(\d)"', text) == ["3", "2", "1", "0"]
    assert re.search(r'name="layer" value="2" id="layer-2" checked', text)  # the middle
    assert "about" in text  # the time of the estimate
    assert errors(text) == []


def test_the_address_is_the_state(page_client: Client, data_dir: Path) -> None:
    write_model(data_dir / "models" / "mine", layers=6, width=48)
    text = page(page_client, model="mine", layer="5", k="7", site="mlp_out")
    assert "6 layers of width 48" in text
    assert re.search(r'value="5" id="layer-5" checked', text)
    assert re.search(r'name="k" value="7"', text)
    assert re.search(r'value="mlp_out" checked', text)


def test_a_model_that_cannot_be_used_says_why(page_client: Client, data_dir: Path) -> None:
    (data_dir / "models" / "odd").mkdir()
    (data_dir / "models" / "odd" / "config.json").write_text("{}")
    assert "has no weights" in page(page_client, model="local:odd")
    assert "no path, no URL" in page(page_client, model="../../etc/passwd")


def test_a_hub_model_is_asked_about(
    page_client: Client, data_dir: Path, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(language_models.describe_model, "apply_async", lambda args, **_: asked.append(args))
    with django_capture_on_commit_callbacks(execute=True):
        text = page(page_client, model="hub:org/name")
    assert "no worker is running that could ask the hub" in text
    assert 'value="org/name"' in text
    assert len(asked) == 1
    record_heartbeat("w", ["lens"])
    assert "Asking the hub about this model" in page(page_client, model="hub", hub_id="org/name")
    assert "load delay" in page(page_client, model="hub", hub_id="org/name")


def test_a_hub_model_that_a_worker_described(page_client: Client, data_dir: Path) -> None:
    card = {"name": "org/name", "family": "gpt2", "layers": 12, "width": 768, "context_length": 1024}
    card |= {"vocabulary_size": 50257, "parameters": 124_000_000, "weights_bytes": 500_000_000, "kind": "causal"}
    known = HubModel._meta.get_field("asked_at").get_default()
    HubModel.objects.create(hub_id="org/name", card=card, answered_at=known)
    text = page(page_client, model="hub:org/name")
    assert "12 layers of width 768, 124.0M parameters" in text


def test_parts_for_htmx(page_client: Client, data_dir: Path) -> None:
    parts = page_client.get(f"{NEW}layers/", sent()).content.decode()
    assert 'id="layer-stack"' in parts
    assert 'hx-swap-oob="true"' in parts
    estimate = page_client.get(f"{NEW}estimate/", sent(n_features="4096")).content.decode()
    assert estimate.startswith('<section class="panel" id="estimate"')
    assert "GB" in estimate or "MB" in estimate
    assert "k (5) cannot exceed" in page_client.get(f"{NEW}estimate/", sent(n_features="4", k="5")).content.decode()


def test_the_settings_follow_the_architecture(page_client: Client, data_dir: Path) -> None:
    def names(architecture: str) -> set[str]:
        part = page_client.get(f"{NEW}settings/", sent(architecture=architecture, n_features="77")).content.decode()
        assert part.startswith('<section class="panel stack" id="sae-settings"')
        assert re.search(r'name="n_features" value="77"', part)
        assert "<noscript>" not in part  # whose fields would be sent with the others
        return set(re.findall(r'name="(\w+)"', re.sub(r'<input type="hidden"[^>]*>', "", part)))

    assert {"k", "aux_k", "output_site", "skip"} <= names("topk")
    assert "aux_k" not in names("relu")
    assert {"k", "aux_k", "bandwidth", "threshold_tokens"} <= names("jumprelu")
    assert "k" not in names("gated")
    assert "sparsity_coefficient" in names("gated")
    assert "output_site" not in names("matryoshka")
    assert "The L0 aimed at" in page(page_client, architecture="jumprelu")


def test_what_was_typed_for_another_architecture_is_kept(page_client: Client, data_dir: Path) -> None:
    hidden = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
    typed = {"architecture": "topk", "sparsity_coefficient": "0.07", "bandwidth": "0.02", "aux_k": "9"}
    part = page_client.get(f"{NEW}settings/", sent(**typed)).content.decode()
    kept = hidden.findall(part)
    assert sorted(kept) == [("bandwidth", "0.02"), ("sparsity_coefficient", "0.07")]
    back = page_client.get(f"{NEW}settings/", sent(**(typed | dict(kept) | {"architecture": "relu"}))).content.decode()
    assert 'name="sparsity_coefficient" value="0.07"' in back
    assert dict(hidden.findall(back)) == {"bandwidth": "0.02", "k": "4", "aux_k": "9"}
    # Without scripts the fields themselves are there, after the hidden ones, and what is typed in them counts.
    whole = page(page_client, **typed)
    assert hidden.search(whole)
    assert whole.index('type="hidden" name="bandwidth"') < whole.rindex('name="bandwidth"')


def test_without_scripts_every_setting_is_there_with_its_architectures(page_client: Client, data_dir: Path) -> None:
    text = page(page_client, architecture="topk")
    hidden = "".join(re.findall(r"<noscript>(.*?)</noscript>", text, re.DOTALL))
    assert 'name="bandwidth"' in hidden
    assert "for JumpReLU" in hidden
    assert 'name="bandwidth"' not in re.sub(r"<noscript>.*?</noscript>", "", text, flags=re.DOTALL)


def test_a_mistake_in_an_advanced_setting_opens_it(page_client: Client, data_dir: Path) -> None:
    closed, opened = '<details class="more advanced">', '<details class="more advanced" open>'
    assert closed in page(page_client)
    refused = page_client.post(NEW, sent(bandwidth="wide", adam_beta1="2")).content.decode()
    assert opened in refused
    assert len(errors(refused)) == 2  # also of what the architecture does not have: it can be seen and corrected


def test_a_transcoder_is_chosen_by_what_it_reconstructs(page_client: Client, data_dir: Path) -> None:
    page_client.post(NEW, sent(site="mlp_in", output_site="mlp_out", skip="true"))
    sae = Experiment.objects.get().config["sae"]
    assert (sae["output_site"], sae["skip"]) == ("mlp_out", True)
    refused = page_client.post(NEW, sent(architecture="gated", site="mlp_in", output_site="mlp_out")).content.decode()
    assert errors(refused) == ["A transcoder is TopK or JumpReLU; Gated reconstructs its input."]


def test_starting(page_client: Client, data_dir: Path) -> None:
    response = page_client.post(NEW, sent(name="Mine", layer="3", learning_rate="0.002"))
    experiment = Experiment.objects.get()
    assert response["Location"] == f"/experiments/{experiment.pk}/"
    assert (experiment.name, experiment.layer, experiment.status) == ("Mine", 3, "queued")
    assert experiment.config["training"]["learning_rate"] == 0.002


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": "9"}, "layers 0 to 3"),
        ({"layer": ""}, "layer must be a whole number"),
        ({"k": "NaN"}, "k must be a whole number"),
        ({"k": "65"}, "cannot exceed the number of features"),
        ({"n_features": "1e99"}, "n_features must be a whole number"),
        ({"training_tokens": "-5"}, "training_tokens must be a whole number"),
        ({"seed": "Infinity"}, "seed must be a whole number"),
        ({"learning_rate": "NaN"}, "learning_rate must be a number"),
        ({"model": "hub", "hub_id": "https://x"}, "no path, no URL"),
        ({"model": "hub", "hub_id": ""}, "no path, no URL"),
        ({"corpus": "upload"}, "Choose a file"),
        ({"corpus": "777"}, "no such corpus"),
        ({"corpus": "hub", "corpus_hub_id": "../x"}, "name or org/name"),
        ({"name": "x" * 201}, "201 characters"),
    ],
)
def test_a_mistake_is_said_beside_its_field_and_nothing_typed_is_lost(
    page_client: Client, data_dir: Path, changes: dict[str, str], words: str
) -> None:
    response = page_client.post(NEW, sent(seed="41") | changes)
    text = response.content.decode()
    assert response.status_code == 422
    assert any(words in error.replace("&#x27;", "'") for error in errors(text)), errors(text)
    for name, value in changes.items():
        if value and name not in {"layer", "model", "corpus"}:
            assert f'name="{name}" value="{value}"' in text
    assert "seed" in changes or 'name="seed" value="41"' in text
    assert not Experiment.objects.exists()


def test_an_upload_starts_an_experiment(page_client: Client, upload: Upload) -> None:
    page_client.post(NEW, sent(corpus="upload", file=upload("tales.txt", TEXT)))
    experiment = Experiment.objects.get()
    assert experiment.corpus.name == "tales.txt"
    assert experiment.config["corpus"]["source"] == "upload"


def test_an_uploaded_file_survives_a_mistake_elsewhere(page_client: Client, upload: Upload) -> None:
    text = page_client.post(NEW, sent(corpus="upload", file=upload("tales.txt", TEXT), k="999")).content.decode()
    corpus = Corpus.objects.get(source="upload")
    assert re.search(rf'<option value="{corpus.pk}" selected>tales.txt', text)
    page_client.post(NEW, sent(corpus=str(corpus.pk)))
    assert Experiment.objects.get().corpus == corpus


def test_an_uploaded_table_survives_a_wrong_column(page_client: Client, upload: Upload) -> None:
    table = "title,body\n" + "".join(f"{number},{TEXT[:40]}\n" for number in range(20))
    text = page_client.post(NEW, sent(corpus="upload", file=upload("t.csv", table), column="nope")).content.decode()
    assert any("the columns are: title, body" in error for error in errors(text))
    assert "Kept from before: <strong>t.csv" in text
    kept = re.search(r'name="kept_upload" value="([^"]+)"', text)
    assert kept
    page_client.post(NEW, sent(corpus="upload", column="body", kept_upload=kept[1]))
    assert Experiment.objects.get().corpus.column == "body"


def test_a_file_that_cannot_be_used_is_not_kept(page_client: Client, upload: Upload, data_dir: Path) -> None:
    text = page_client.post(NEW, sent(corpus="upload", file=upload("a.txt", b"nul\0nul"))).content.decode()
    assert any("NUL" in error for error in errors(text))
    assert "Kept from before" not in text
    assert list((data_dir / "uploads").iterdir()) == []


def test_looking_without_javascript_starts_nothing_and_keeps_the_file(page_client: Client, upload: Upload) -> None:
    response = page_client.post(NEW, sent(corpus="upload", file=upload("a.txt", TEXT), look="1", layer="3"))
    text = response.content.decode()
    assert response.status_code == 200
    assert "Kept from before: <strong>a.txt" in text
    assert re.search(r'value="3" id="layer-3" checked', text)
    assert not Experiment.objects.exists()


def test_html_in_a_file_name_is_text(page_client: Client, upload: Upload) -> None:
    name = "<img src=x onerror=alert(1)>.txt"
    text = page_client.post(NEW, sent(corpus="upload", file=upload(name, TEXT), k="999")).content.decode()
    assert "<img" not in text
    assert "&lt;img" in text


def test_what_does_not_fit_is_said_before_and_refused_after(
    page_client: Client, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("experiments.explorer", "experiments.services.estimates"):
        monkeypatch.setattr(f"{place}.memory_bytes", lambda: 10**9)
    big = sent(n_features="500000")
    assert "too little memory" in page_client.get(f"{NEW}estimate/", big).content.decode()
    response = page_client.post(NEW, big)
    assert response.status_code == 422
    assert any("GB of memory" in error for error in errors(response.content.decode()))


def test_the_page_costs_few_queries(page_client: Client, data_dir: Path, django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        Corpus.objects.create(name=f"c{number}", source="upload", file="x")
    page(page_client)
    with django_assert_max_num_queries(12):
        page(page_client)
