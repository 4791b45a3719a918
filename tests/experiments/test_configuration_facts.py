"""What the page of an experiment says of its configuration, and the address that asks for the same again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict
from django.test import Client

from experiments import explorer
from experiments.engine.config import SETTINGS, ExperimentConfig, as_json, values_of
from experiments.live_page import repeat_url
from experiments.models import Experiment
from experiments.services.configurations import ExperimentRequest, configure
from experiments.services.experiments import store_experiment
from tests.experiments.conftest import SMALL

Make = Callable[..., Experiment]
pytestmark = pytest.mark.django_db
# Another value than the default for every setting that is none of SMALL.
OTHERS: dict[str, Any] = {
    "site": "mlp_in", "architecture": "jumprelu", "output_site": "mlp_out", "skip": True, "dtype": "bfloat16",
    "packing": "one_document", "deduplicate": True, "streaming": False, "schedule": "cosine",
    "cache_hidden_states": True, "bandwidth": 0.125, "sparsity_coefficient": 0.25, "learning_rate": 1.5e-3,
}  # fmt: skip


def another_value(name: str) -> Any:
    setting = SETTINGS[name]
    if name in OTHERS:
        return OTHERS[name]
    if setting.kind in {"choice", "flag"}:
        return [*setting.choices][-1] if setting.choices else not setting.default
    between = (setting.minimum + min(setting.maximum, 1_000)) / 8
    return int(between) if setting.whole else between


def facts(client: Client, experiment: Experiment) -> dict[str, str]:
    text = client.get(experiment.get_absolute_url()).content.decode()
    rows = re.findall(r"<div><dt[^>]*>(.*?)</dt><dd[^>]*>(.*?)</dd></div>", text)
    return {title: unescape(re.sub("<[^>]+>", "", value)).strip() for title, value in rows}


def test_repeating_asks_for_every_setting_again(data_dir: Path) -> None:
    wanted = {name: another_value(name) for name in SETTINGS} | SMALL
    experiment = store_experiment(ExperimentRequest(**wanted), "cancelled")
    config = ExperimentConfig.from_json(experiment.config)
    assert all(values_of(config)[name] == wanted[name] for name in SETTINGS)
    form = explorer.explorer_form(QueryDict(urlsplit(repeat_url(experiment)).query))
    assert configure(form.request_for(form.text("corpus"))).config == config


def test_the_address_names_only_what_is_not_so_by_default(make_experiment: Make) -> None:
    named = set(parse_qs(urlsplit(repeat_url(make_experiment())).query))
    columns = {"model", "corpus", "layer", "site", "architecture", "n_features", "k", "training_tokens", "seed"}
    assert named == columns | {"context_length", "batch_tokens", "learning_rate"}  # which follow from others


def test_what_was_changed_is_told_with_its_unit(page_client: Client, data_dir: Path) -> None:
    wanted = SMALL | {"resample_share": 0.3, "warmup_share": 0.125, "schedule": "cosine", "stream_seed": 12}
    told = facts(page_client, store_experiment(ExperimentRequest(**wanted), "queued"))
    assert told["Warm-up"] == "0.125 share of the steps"
    assert told["Schedule"] == "Cosine"
    assert told["Seed of the order"] == "12"
    assert "Resampling" not in told  # which TopK does not do
    assert "Decay" not in told
    assert told["Features, k"] == "64, 4"


def test_a_transcoder_says_what_it_reads_and_reconstructs(page_client: Client, data_dir: Path) -> None:
    wanted = SMALL | {"site": "mlp_in", "output_site": "mlp_out", "skip": True}
    experiment = store_experiment(ExperimentRequest(**wanted), "queued")
    told = facts(page_client, experiment)
    assert experiment.name == "builtin · layer 1 · TopK transcoder 64"
    assert told["Layer and site"] == "1, reads mlp_in (MLP input), reconstructs mlp_out (MLP output)"
    assert told["Architecture"] == "TopK transcoder with a skip connection"


def test_an_architecture_without_k_shows_its_coefficient(page_client: Client, data_dir: Path) -> None:
    wanted = SMALL | {"architecture": "relu", "sparsity_coefficient": 0.5, "k": 32}
    experiment = store_experiment(ExperimentRequest(**wanted), "queued")
    told = facts(page_client, experiment)
    assert (told["Architecture"], told["Features"], told["Sparsity coefficient"]) == ("ReLU + L1", "64", "0.5")
    text = page_client.get(experiment.get_absolute_url()).content.decode()
    assert "k 32" not in text
    assert 'data-metric="penalty"' in text


def test_a_configuration_of_an_earlier_version_is_told(page_client: Client, make_experiment: Make) -> None:
    experiment = make_experiment()
    config = as_json(replace(ExperimentConfig.from_json(experiment.config), seed=0))
    for name in ("stream_seed", "packing", "training"):
        del config[name]
    Experiment.objects.filter(pk=experiment.pk).update(config=config)
    assert facts(page_client, experiment)["Windows"] == "Across documents"
