"""From a request to a configuration: what is accepted, what is filled in, and the sentence for what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.engine.config import ConfigError, ExperimentConfig, as_json
from experiments.models import Corpus, HubModel
from experiments.services import configurations, estimates, language_models
from experiments.services.configurations import ExperimentRequest, configure, middle_layer
from experiments.services.estimates import refuse_what_does_not_fit
from latentlens.lib.problems import Refused
from tests.experiments.conftest import SMALL, write_model

pytestmark = pytest.mark.django_db


def request(**changes: Any) -> ExperimentRequest:
    return ExperimentRequest(**(SMALL | changes))


def refusal(**changes: Any) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        configure(request(**changes))
    assert caught.value.message
    return caught.value.fields


def test_a_request_becomes_a_configuration(data_dir: Path) -> None:
    found = configure(request(seed=7))
    assert found.name == "builtin · layer 1 · TopK 64"
    assert (found.config.layer, found.config.sae.k, found.config.seed) == (1, 4, 7)
    assert found.config.context_length == 128
    assert found.card is not None
    assert found.corpus.source == Corpus.Source.BUILTIN


def test_numbers_may_be_text_as_it_was_typed(data_dir: Path) -> None:
    found = configure(request(n_features="1,024", layer=" 2 ", learning_rate="1e-3"))
    assert (found.config.sae.n_features, found.config.layer, found.config.training.learning_rate) == (1024, 2, 1e-3)


def test_defaults_follow_the_settings(data_dir: Path, settings: Any) -> None:
    settings.SAE_HIDDEN_DIM = 333
    settings.SPARSITY_COEFFICIENT = 0.5
    found = configure(ExperimentRequest(model="builtin", layer=0))
    assert (found.config.sae.n_features, found.config.sae.sparsity_coefficient) == (333, 0.5)


def test_the_learning_rate_follows_from_the_steps_and_is_stored(data_dir: Path) -> None:
    short = configure(request(training_tokens=100_000)).config.training
    long = configure(request(training_tokens=8_000 * 4_096, n_features=4_096)).config.training
    assert (short.learning_rate, long.steps, long.learning_rate) == (3.2e-3, 8_000, 1.5e-3)


def test_windows_fit_a_model_that_reads_little(data_dir: Path) -> None:
    write_model(data_dir / "models" / "short", max_position_embeddings=32)
    assert configure(request(model="short")).config.context_length == 32


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layer", "-1"), ("layer", "NaN"), ("layer", 2.5), ("layer", 10**30), ("layer", ""),
        ("n_features", "Infinity"), ("n_features", float("nan")), ("n_features", -5), ("n_features", 10**12),
        ("k", 0), ("k", "1e3"), ("k", [4]), ("k", True),
        ("training_tokens", 0), ("training_tokens", float("inf")),
        ("seed", -1), ("seed", 2**64),
        ("sparsity_coefficient", float("nan")), ("sparsity_coefficient", -0.5), ("sparsity_coefficient", "1e999"),
        ("context_length", 1), ("learning_rate", "NaN"), ("learning_rate", 5),
        ("site", "hook_point"), ("architecture", "magic"), ("name", "a\0b"), ("name", "\ud800"), ("name", "x" * 300),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_its_field(data_dir: Path, field: str, value: object) -> None:
    fields = refusal(**{field: value})
    assert list(fields) == [field]
    assert fields[field].endswith(".")


def test_all_mistakes_are_told_at_once(data_dir: Path) -> None:
    assert set(refusal(layer="x", k="y", site="z", corpus="99")) == {"layer", "k", "site", "corpus"}


def test_k_above_the_number_of_features(data_dir: Path) -> None:
    assert refusal(k=65) == {"k": "k (65) cannot exceed the number of features (64)."}


def test_a_layer_that_the_model_does_not_have(data_dir: Path) -> None:
    assert refusal(layer=4) == {"layer": "The model has layers 0 to 3, so layer 4 does not exist."}


@pytest.mark.parametrize(
    "model",
    ["/etc/passwd", "../secret", "local:../secret", "https://example.org/model", "hub:a/b/c", "hub:a/..", "a b", "",
     "file:model", "hub:", "local:", "hub:a\0b", "C:\\models"],
)  # fmt: skip
def test_a_model_is_no_path_and_no_address(data_dir: Path, model: str) -> None:
    sentence = refusal(model=model)["model"]
    assert "no path, no URL" in sentence or "no folder" in sentence
    assert str(data_dir) not in sentence


def test_a_local_model_that_is_not_there(data_dir: Path) -> None:
    assert refusal(model="local:ghost")["model"].startswith("There is no folder “ghost”")


def test_a_local_model_without_weights_is_refused_in_the_words_of_its_card(data_dir: Path) -> None:
    write_model(data_dir / "models" / "empty")
    (data_dir / "models" / "empty" / "model.safetensors").unlink()
    assert "has no weights" in refusal(model="empty")["model"]


def test_more_memory_than_there_is_is_refused_with_the_estimate(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "memory_bytes", lambda: 2 * 10**9)
    found = configure(request(n_features=1_000_000, k=4))
    with pytest.raises(Refused) as caught:
        refuse_what_does_not_fit(found.config, found.card)
    assert "GB of memory and 2.0 GB are available" in caught.value.fields["n_features"]


def test_a_corpus_shorter_than_one_window(data_dir: Path) -> None:
    corpus = Corpus.objects.create(
        name="short", source=Corpus.Source.UPLOAD, file="x.txt", size_bytes=20, documents=1, characters=20
    )
    assert "shorter than one window" in refusal(corpus=corpus.pk)["corpus"]


def test_a_hub_model_that_nobody_knows_is_asked_about_and_accepted(
    data_dir: Path, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(language_models.describe_model, "apply_async", lambda args, **_: asked.append(args))
    with django_capture_on_commit_callbacks(execute=True):
        found = configure(request(model="hub:org/name", layer=11))
    assert found.card is None
    assert asked == [(HubModel.objects.get().pk,)]


def test_a_described_hub_model_is_judged(data_dir: Path) -> None:
    card = {"name": "org/name", "family": "llama", "layers": 2, "width": 8, "context_length": 64}
    card |= {"vocabulary_size": 9, "parameters": 100, "weights_bytes": 400, "kind": "causal"}
    answered = HubModel._meta.get_field("asked_at").get_default()
    HubModel.objects.create(hub_id="org/name", card=card, answered_at=answered)
    assert "layers 0 to 1" in refusal(model="hub:org/name", layer=2)["layer"]
    assert middle_layer("hub:org/name") == 1


def test_a_hub_model_that_cannot_be_used_says_why(data_dir: Path) -> None:
    answered = HubModel._meta.get_field("asked_at").get_default()
    HubModel.objects.create(hub_id="org/name", error="It is gated.", answered_at=answered)
    assert refusal(model="hub:org/name") == {"model": "It is gated."}


def test_the_same_choice_by_a_bare_name_and_by_its_full_name(data_dir: Path) -> None:
    write_model(data_dir / "models" / "mine")
    for text in ("mine", "local:mine"):
        assert configurations.resolve_model(text).canonical == "local:mine"
    assert configurations.resolve_model("gpt2").canonical == "hub:gpt2"


def test_how_a_corpus_is_read_is_a_choice(data_dir: Path) -> None:
    config = configure(request()).config
    assert (config.packing, config.corpus.deduplicate, config.corpus.streaming) == ("across_documents", False, True)
    config = configure(request(packing="one_document", deduplicate="true", streaming=False)).config
    assert (config.packing, config.corpus.deduplicate, config.corpus.streaming) == ("one_document", True, False)
    assert list(refusal(packing="none", deduplicate="perhaps")) == ["packing", "deduplicate"]


def test_configurations_of_earlier_versions_can_be_read(data_dir: Path) -> None:
    document = as_json(configure(request()).config)
    del document["packing"]
    for name in ("chat_template", "streaming", "deduplicate"):
        del document["corpus"][name]
    assert ExperimentConfig.from_json(document) == configure(request()).config
    document["corpus"]["deduplicate"] = 1
    with pytest.raises(ConfigError, match="wrong kind"):
        ExperimentConfig.from_json(document)


def test_short_documents_are_enough_for_windows_of_their_own(data_dir: Path) -> None:
    corpus = Corpus.objects.create(name="Short", source="upload", documents=2, characters=20, size_bytes=10)
    assert list(refusal(corpus=corpus.pk)) == ["corpus"]
    assert configure(request(corpus=corpus.pk, packing="one_document")).corpus == corpus
