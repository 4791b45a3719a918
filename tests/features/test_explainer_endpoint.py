"""A language model as explainer: a loopback server that answers, is down, slow, or talks nonsense."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex
from features.activation_index.firings import firings_of
from features.explaining.endpoint import FAILURES_IN_A_ROW, Endpoint, EndpointExplainer, EndpointUnavailable
from features.models import Feature, Label, MachineLabelling
from features.services.machine_labels import METHOD, go_on, label_features, scores_beside, start_labelling
from latentlens.lib.problems import Conflict
from tests.features import synthetic_index as synthetic

Answer = Callable[[str], Any]


class Server:
    """An OpenAI-compatible address on loopback; `answer` maps a prompt to the text of the message, or to a status."""

    def __init__(self) -> None:
        self.answer: Answer = knowing
        self.prompts: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][0]["content"]
                server.prompts.append(prompt)
                found = server.answer(prompt)
                status, text = (found, "") if isinstance(found, int) else (200, found)
                data = (
                    text
                    if isinstance(text, bytes)
                    else json.dumps({"choices": [{"message": {"content": text}}]}).encode()
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Keeps the tests' output quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def knowing(prompt: str) -> str:
    """Names a feature by the first marked token, and knows where that token stands."""
    if "described as" not in prompt:
        return json.dumps({"label": f"the token {re.findall('«(.*?)»', prompt)[-1]}"})
    token = re.findall("described as: the token (.*)", prompt)[0]
    lines = re.findall(r"^(\d+): (.*)$", prompt, re.MULTILINE)
    return (
        f"Of course!\n```json\n{json.dumps({'fires': [int(number) for number, text in lines if token in text]})}\n```"
    )


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def explainer(harvested: Experiment, server: Server) -> EndpointExplainer:
    endpoint = Endpoint(server.url, "parrot", "secret", timeout=5, sleep=lambda _: None)
    return EndpointExplainer(ActivationIndex(experiment_folder(harvested.pk)), endpoint)


def explained(explainer: EndpointExplainer, feature: int) -> Any:
    return explainer.explain(feature, firings_of(explainer._index.files, feature))


def test_it_names_a_feature_from_one_half_and_is_tested_on_the_other(
    explainer: EndpointExplainer, server: Server
) -> None:
    found = explained(explainer, synthetic.NEWLINE)
    assert found.text == "the token ↵"
    assert found.detection.balanced_accuracy == 1.0
    explain, detect = server.prompts
    assert explain.count("«↵»") == 12
    assert "«" not in detect
    assert len(re.findall(r"^\d+: ", detect, re.MULTILINE)) == 16


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (500, "The explainer answered with status 500."),
        (404, "The explainer answered with status 404."),
        ("I would rather not.", "The explainer answered nonsense: no JSON object."),
        (b"<html>", "The explainer answered nonsense: no JSON object."),
        (b"x" * 100_000, "The explainer answered nonsense: more text than a label can need."),
        ('{"label": ""}', "The explainer's label cannot be used: Text is empty: type at least one character."),
        (
            '{"label": "' + "a" * 500 + '"}',
            "The explainer's label cannot be used: Text has 500 characters; 200 are the most.",
        ),
        ("[1]", "The explainer answered nonsense: no JSON object."),
    ],
)
def test_what_is_no_answer_is_a_sentence(
    explainer: EndpointExplainer, server: Server, answer: Any, sentence: str
) -> None:
    server.answer = lambda _: answer
    assert explained(explainer, synthetic.NEWLINE).problem == sentence


def test_a_label_that_was_not_tested_is_kept_with_the_reason(explainer: EndpointExplainer, server: Server) -> None:
    server.answer = lambda prompt: '{"fires": "all"}' if "described as" in prompt else '{"label": "ends"}'
    found = explained(explainer, synthetic.NEWLINE)
    assert (found.text, found.detection) == ("ends", None)
    assert found.problem == "The explainer answered nonsense: no list of numbers."


def test_it_tries_again_and_gives_up_after_failures_in_a_row(explainer: EndpointExplainer, server: Server) -> None:
    answers = iter([500, 429])
    server.answer = lambda prompt: next(answers, None) or knowing(prompt)
    assert explained(explainer, synthetic.NEWLINE).text == "the token ↵"
    server.answer = lambda _: 503
    explanations = explainer.explain_all([(feature, 1) for feature in range(10, 30)])
    assert {next(explanations).problem for _ in range(FAILURES_IN_A_ROW)} == {"The explainer answered with status 503."}
    with pytest.raises(EndpointUnavailable, match="failed 5 times in a row"):
        next(explanations)


def test_an_address_where_nobody_listens_is_a_sentence(harvested: Experiment, server: Server) -> None:
    server.close()
    endpoint = Endpoint(server.url, "parrot", timeout=5, sleep=lambda _: None)
    found = explained(EndpointExplainer(ActivationIndex(experiment_folder(harvested.pk)), endpoint), synthetic.NEWLINE)
    assert found.problem == "The explainer cannot be reached: check EXPLAINER_URL."


def test_a_whole_pass_keeps_what_it_has_and_goes_on(experiment: Experiment, server: Server, settings: Any) -> None:
    settings.EXPLAINER_URL, settings.EXPLAINER_MODEL = server.url, "parrot"
    label_features(start_labelling(experiment, METHOD, None))
    answered: list[str] = []

    def until_it_breaks(prompt: str) -> Any:
        answered.append(prompt)
        return knowing(prompt) if len(answered) <= 6 else "nonsense"

    server.answer = until_it_breaks
    row = start_labelling(experiment, "model parrot", None, most=20)
    label_features(row)
    row.refresh_from_db()
    assert row.status == "failed"
    assert "Go on when it answers" in row.error
    assert 0 < row.labelled < row.features == 20
    server.answer = knowing
    go_on(row)
    label_features(row)
    row.refresh_from_db()
    assert (row.status, row.done) == ("finished", 20)
    assert sum(len(indices) for indices in row.failures.values()) >= FAILURES_IN_A_ROW
    assert Label.objects.filter(method="model parrot").count() == row.labelled
    count, asked, counted = scores_beside(experiment, "model parrot") or (0, 0.0, 0.0)
    assert count > 0
    assert 0.5 <= asked <= 1 >= counted >= 0.5


def test_without_an_explainer_nobody_is_asked(page_client: Client, experiment: Experiment, settings: Any) -> None:
    with pytest.raises(Conflict, match="EXPLAINER_URL"):
        start_labelling(experiment, "model parrot", None)
    address = reverse("features:machine-labels", args=[experiment.pk])
    assert "Ask a language model" not in page_client.get(address).content.decode()
    settings.EXPLAINER_URL, settings.EXPLAINER_MODEL = "http://127.0.0.1:9/v1", "parrot"
    assert "Ask model parrot" in page_client.get(address).content.decode()
    page_client.post(address, {"method": "endpoint", "most": "3"})
    row = MachineLabelling.objects.get()
    assert (row.method, row.features) == ("model parrot", min(3, Feature.objects.filter(firings__gt=0).count()))
