"""`manage.py analyze`: the same reading in the foreground."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Experiment
from lens.models import Analysis
from tests.lens.conftest import make_experiment
from tests.lens.fake_lens import FakeLens


def _analyze(*arguments: object) -> str:
    out = StringIO()
    call_command("analyze", *arguments, stdout=out)
    return out.getvalue()


def test_each_token_is_a_line_and_the_last_is_its_page(experiment: Experiment, fake_lens: FakeLens) -> None:
    lines = _analyze(str(experiment.pk), "Lily sang").splitlines()
    assert lines[0].split(maxsplit=2) == ["0", "<s>", "special token, not read"]
    assert lines[1].split(maxsplit=2) == ["1", "Lily", "#3 names 11.0, #7 2.00"]
    assert lines[2].split(maxsplit=2) == ["2", "·sang", "#7 2.00"]
    assert lines[3].endswith(Analysis.objects.get().get_absolute_url())


def test_json_is_what_the_api_answers(experiment: Experiment, fake_lens: FakeLens, api_client: object) -> None:
    document = json.loads(_analyze(str(experiment.pk), "Lily sang", "--json", "--top-k", "1"))
    assert document == api_client.get(f"/api/activations/{document['id']}").json()  # type: ignore[attr-defined]
    assert [len(token["features"]) for token in document["tokens"]] == [0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("99", "Lily"), "There is no such experiment."),
        (("1", " "), "The prompt is empty"),
        (("1", "Lily", "--top-k", "0"), "top_k must be"),
        (("1", "word " * 21), "The prompt has 21 tokens"),
    ],
)
def test_refusals_are_one_sentence(fake_lens: FakeLens, db: None, arguments: tuple[str, ...], sentence: str) -> None:
    experiment = make_experiment()
    arguments = tuple(str(experiment.pk) if argument == "1" else argument for argument in arguments)
    with pytest.raises(CommandError, match=sentence):
        _analyze(*arguments)


def test_an_unfinished_experiment_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="cancelled"):
        _analyze(str(make_experiment("cancelled").pk), "Lily")
