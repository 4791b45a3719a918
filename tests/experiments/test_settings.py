"""Every setting of the config is reachable from the page, the command line and the API, and refuses what is none."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from experiments.engine.config import SETTINGS, CorpusConfig, ModelConfig, config_with, values_of
from experiments.models import Experiment
from experiments.setting_options import add_settings
from experiments.setting_texts import settings_table
from latentlens.api import api
from tests.experiments.conftest import SMALL

pytestmark = pytest.mark.django_db
NUMBERS = [name for name, setting in SETTINGS.items() if setting.kind in {"number", "whole number"}]
NAMES = [name for name, setting in SETTINGS.items() if setting.kind in {"choice", "flag"}]
NO_NUMBERS = [float("nan"), float("inf"), -1e30, 10**30, "many"]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    described: dict[str, Any] = api.get_openapi_schema()["components"]["schemas"]["ExperimentIn"]
    return described


@pytest.fixture
def page(page_client: Client, data_dir: Path) -> str:
    return str(page_client.get("/experiments/new/").content.decode())


def test_every_setting_is_in_the_form_with_its_explanation(page: str) -> None:
    text = unescape(page)
    for name, setting in SETTINGS.items():
        assert re.search(rf'name="{name}"', text), name
        if name not in {"layer", "site", "architecture", "k"}:  # drawn, or in the words of an architecture
            assert setting.help in text, name


def test_every_setting_is_an_option_of_train_with_its_explanation(data_dir: Path) -> None:
    parser = ArgumentParser(prog="train")
    add_settings(parser)
    text = " ".join(parser.format_help().split())
    for name, setting in SETTINGS.items():
        assert f"--{name.replace('_', '-')}" in text
        assert setting.help.split(".")[0].split("-")[0] in text, name
    assert "--no-streaming" in text
    assert "--tokens" in text


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_described_by_the_api(schema: dict[str, Any], name: str) -> None:
    setting, described = SETTINGS[name], schema["properties"][name]
    assert setting.help in described["description"]
    if setting.kind == "choice":
        assert set(setting.choices) <= set(described["enum"])
    elif setting.kind != "flag":
        assert (described["minimum"], described["maximum"]) == (setting.minimum, setting.maximum)
    assert (name in schema["required"]) == setting.is_required


def test_the_table_of_the_reference_is_true() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
    found = re.search(r"<!-- settings -->\n(.*?)<!-- end of settings -->", reference, re.DOTALL)
    assert found
    assert found[1] == settings_table(), "Put what `manage.py settings_table` prints into docs/reference.md."


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_no_number_is_refused_by_every_door(
    api_client: Client, page_client: Client, data_dir: Path, name: str, value: Any
) -> None:
    _refused_by_every_door(api_client, page_client, name, value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["unheard-of", "\0", "topk,relu"])
def test_an_unknown_choice_is_refused_by_every_door(
    api_client: Client, page_client: Client, data_dir: Path, name: str, value: str
) -> None:
    _refused_by_every_door(api_client, page_client, name, value)


def _refused_by_every_door(api_client: Client, page_client: Client, name: str, value: Any) -> None:
    body = json.dumps(SMALL | {name: value})
    response = api_client.post("/api/experiments", body, content_type="application/json")
    error = response.json()["error"]
    sentence = error["fields"][name]
    assert (response.status_code, list(error["fields"]), error["message"]) == (422, [name], sentence)
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0

    text = page_client.post("/experiments/new/", SMALL | {"corpus": "builtin", name: str(value)}).content.decode()
    assert re.findall(r'class="field-error"[^>]*>([^<]+)<', text) == [sentence]

    if SETTINGS[name].kind != "flag":  # which the command line has as --name and --no-name
        options = {name: str(setting) for name, setting in (SMALL | {name: value}).items()}
        with pytest.raises(CommandError) as refusal:
            call_command("train", **options)
        assert str(refusal.value) == sentence
    assert not Experiment.objects.exists()


def test_a_setting_that_is_none_is_refused(api_client: Client, data_dir: Path) -> None:
    response = api_client.post("/api/experiments", SMALL | {"kk": 3}, content_type="application/json")
    assert response.status_code == 422
    assert response.json()["error"]["fields"] == {"kk": "There is no setting “kk”."}


def test_values_and_config_are_each_others_inverse() -> None:
    given = {name: setting.default for name, setting in SETTINGS.items()} | {"layer": 3, "seed": 9, "dtype": "bfloat16"}
    config = config_with(ModelConfig("builtin", "builtin"), CorpusConfig("builtin", "builtin"), given)
    assert values_of(config) == given
    assert (config.layer, config.seed, config.model.dtype) == (3, 9, "bfloat16")
