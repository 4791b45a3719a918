"""Previews of tokens: asked for by page, API and command, made by a worker, and every state shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from experiments import worker_life
from experiments.models import Corpus, TokenPreview
from experiments.services import previews
from experiments.services.corpora import add_upload
from experiments.services.workers import record_heartbeat
from experiments.token_previews import preview
from tests.engine.tiny_models import save_tiny_model
from tests.experiments.test_explorer_page import TEXT, sent

Upload = Callable[[str, str | bytes], Any]
ASK = "/experiments/new/preview/"
RESULT = {
    "windows": [[{"text": "<s>", "special": True, "padding": False, "begins": True},
                 {"text": " Hi & bye", "special": False, "padding": False, "begins": False},
                 {"text": "<s>", "special": True, "padding": True, "begins": False}]],
    "sampled_documents": 2, "sampled_characters": 100, "sampled_tokens": 25,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The previews that a worker was asked for."""
    messages: list[int] = []
    monkeypatch.setattr(previews.preview_tokens, "apply_async", lambda args, **_: messages.append(args[0]))
    return messages


@pytest.fixture
def tiny(data_dir: Path) -> str:
    save_tiny_model(data_dir / "models" / "tiny", "gpt2")
    return "local:tiny"


def page(client: Client, **changes: Any) -> str:
    return str(client.post(ASK, sent(**changes), headers={"HX-Request": "true"}).content.decode())


def test_the_panel_goes_through_its_states(
    page_client: Client, data_dir: Path, asked: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    assert "Preview tokens" in page_client.get("/experiments/new/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        text = page(page_client)
    made = TokenPreview.objects.get()
    assert asked == [made.pk]
    assert "No worker is running that could read the corpus" in text
    record_heartbeat("w", ["lens"])
    with django_capture_on_commit_callbacks(execute=True):
        assert "Reading the beginning of" in page(page_client)
    assert asked == [made.pk]  # the same question is asked once
    address = f"/experiments/previews/{made.pk}/"
    assert f'hx-get="{address}"' in page_client.get(address).content.decode()

    TokenPreview.objects.update(answered_at=timezone.now(), result=RESULT)
    text = page_client.get(address).content.decode()
    assert "hx-get" not in text
    assert '<span class="token token--special" title="special token">&lt;s&gt;</span>' in text
    assert " Hi &amp; bye" in text
    assert text.count("token-boundary") == 1
    assert "token--padding" in text
    assert "has no known end" in text
    assert page_client.get("/experiments/previews/99/").status_code == 404


def test_what_went_wrong_is_shown_and_asked_again(
    page_client: Client, data_dir: Path, asked: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    page(page_client)
    TokenPreview.objects.update(answered_at=timezone.now(), error="This model has no chat template.")
    made = TokenPreview.objects.get()
    assert "no chat template" in page_client.get(f"/experiments/previews/{made.pk}/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        page(page_client)
    assert asked == [made.pk]


def test_what_is_wrong_in_the_form_is_said_in_the_panel(page_client: Client, data_dir: Path, asked: list[int]) -> None:
    assert "Choose a file to upload" in page(page_client, corpus="upload")
    assert "context_length must be" in page(page_client, context_length="-1")
    assert not TokenPreview.objects.exists()


def test_an_upload_becomes_a_corpus_and_is_counted(
    page_client: Client, data_dir: Path, asked: list[int], upload: Upload
) -> None:
    page(page_client, corpus="upload", file=upload("a.txt", TEXT))
    made = TokenPreview.objects.get()
    assert made.corpus.name == "a.txt"
    TokenPreview.objects.update(answered_at=timezone.now(), result=RESULT)
    made.refresh_from_db()
    assert made.corpus.characters is not None
    assert made.estimated_tokens == round(made.corpus.characters / 4)


def test_without_javascript_the_whole_page_comes_back(page_client: Client, data_dir: Path, asked: list[int]) -> None:
    text = page_client.post(ASK, sent(k="7")).content.decode()
    assert "Layer Explorer" in text
    assert 'name="k" value="7"' in text
    assert 'id="token-preview"' in text


def test_the_api_answers_when_a_worker_did(api_client: Client, tiny: str, asked: list[int], upload: Upload) -> None:
    corpus = add_upload(upload("a.txt", TEXT))
    address, wanted = f"/api/corpora/{corpus.pk}/preview", {"model": tiny, "context_length": 16}

    def ask(**changes: Any) -> Any:
        return api_client.post(address, json.dumps(wanted | changes), content_type="application/json")

    first = ask()
    assert (first.status_code, first.json()["windows"]) == (202, None)
    preview(TokenPreview.objects.get().pk)
    answer = ask()
    assert answer.status_code == 200
    tokens = answer.json()["windows"][0]
    assert len(tokens) == 16
    assert (tokens[0]["special"], tokens[0]["begins"], tokens[1]["special"]) == (True, True, False)
    assert "".join(token["text"] for token in tokens[1:]).startswith("A par")
    assert answer.json()["estimated_tokens"] > 100
    assert ask(packing="one_document").status_code == 202
    assert ask(packing="neither").status_code == 422
    assert "does not depend on “k”" in ask(k=4).json()["error"]["fields"]["k"]
    assert ask(streaming="perhaps").status_code == 422
    unknown = api_client.post("/api/corpora/99/preview", json.dumps(wanted), content_type="application/json")
    assert unknown.status_code == 422


@pytest.mark.django_db
def test_a_worker_says_in_a_sentence_why_there_is_none(tiny: str, asked: list[int], upload: Upload) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})
    corpus = add_upload(upload("a.jsonl", line * 1 + "\n"), chat=True)
    assert (corpus.chat_template, corpus.column) == (True, "messages")
    request = previews.ExperimentRequest(model=tiny, layer=0, corpus=corpus.pk, packing="one_document")
    made = previews.ask_for_preview(request)
    preview(made.pk)
    made.refresh_from_db()
    assert "no chat template" in made.error
    assert made.result is None
    preview(99)  # a forgotten question needs no answer


@pytest.mark.django_db
def test_a_preview_is_forgotten_after_a_week(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_life, "database_work", nullcontext)  # which closes the connection of a thread
    for days in (1, 6, 8):
        asked_at = timezone.now() - timedelta(days=days)
        TokenPreview.objects.create(key=str(days), corpus=corpus, model="builtin", config={}, asked_at=asked_at)
    worker_life.Heartbeat(["lens"]).beat()
    assert TokenPreview.objects.count() == 3
    worker_life.Heartbeat(["experiments"]).beat()
    assert set(TokenPreview.objects.values_list("key", flat=True)) == {"1", "6"}


@pytest.mark.django_db
def test_the_command_shows_tokens(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "story.txt"
    path.write_text(TEXT)
    command = ["preview_corpus", "tiny", str(path), "--context-length", "16"]
    call_command(*command)
    out = capsys.readouterr().out
    assert "Window 1" in out
    assert "¶ [<|endoftext|>]A|" in out
    assert "tokens per character" in out
    call_command(*command, "--json")
    assert json.loads(capsys.readouterr().out)["corpus"] == Corpus.objects.get(source="upload").pk
    with pytest.raises(CommandError, match="packing must be one of"):
        call_command(*command, "--packing", "neither")
    call_command(*command, "--deduplicate", "--no-streaming")
    asked_for = TokenPreview.objects.latest("pk").config["corpus"]
    assert (asked_for["deduplicate"], asked_for["streaming"]) == (True, False)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("preview_corpus", "tiny", str(tmp_path / "none.txt"))
