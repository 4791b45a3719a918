"""Asking for an analysis: what is stored, what is refused, how long one waits, and when workers are reminded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from experiments.models import Experiment
from experiments.services.workers import record_heartbeat
from latentlens.lib.problems import Conflict, NotFound, Refused
from lens.models import Analysis
from lens.services import analyses
from lens.services.analyses import PATIENCE, analyses_of, clean_prompt, find_analysis, request_analysis, wait_for
from tests.lens.conftest import make_experiment
from tests.lens.fake_lens import FakeLens


def test_a_request_is_stored_and_told_to_the_workers_after_the_commit(
    experiment: Experiment, owner: User, sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        asked = request_analysis(experiment.pk, " Lily sang.\r\n", top_k=5, author=owner)
        assert sent == []
    assert sent == [str(asked.pk)]
    stored = Analysis.objects.get()
    assert (stored.text, stored.top_k, stored.author, stored.status) == (" Lily sang.\n", 5, owner, "queued")


def test_a_prompt_keeps_every_blank_and_has_one_kind_of_line_end() -> None:
    assert clean_prompt("  a\tb \r\n\rc ") == "  a\tb \n\nc "


@pytest.mark.parametrize("text", ["", "  \n ", "a\x00b", "a\ud800b", "x" * 100_001])
def test_unusable_prompts_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        clean_prompt(text)
    assert set(refusal.value.fields) == {"text"}
    assert refusal.value.message.count(".") <= 1


@pytest.mark.parametrize("top_k", [0, -1, 257, float("nan"), float("inf"), 2**70])
def test_unusable_numbers_of_features_are_refused(experiment: Experiment, top_k: Any) -> None:
    with pytest.raises(Refused) as refusal:
        request_analysis(experiment.pk, "Lily", top_k=top_k)
    assert set(refusal.value.fields) == {"top_k"}
    assert not Analysis.objects.exists()


@pytest.mark.parametrize("status", ["queued", "running", "paused", "failed", "cancelled"])
def test_only_finished_experiments_can_be_read_through(db: None, status: str) -> None:
    with pytest.raises(Conflict, match=status):
        request_analysis(make_experiment(status).pk, "Lily")


@pytest.mark.parametrize("experiment_id", [0, 12345, 2**80])
def test_an_experiment_that_does_not_exist(db: None, experiment_id: int) -> None:
    with pytest.raises(NotFound):
        request_analysis(experiment_id, "Lily")


def test_waiting_ends_with_the_answer(lens_worker: FakeLens, experiment: Experiment) -> None:
    asked = request_analysis(experiment.pk, "Lily sang")
    answered = wait_for(asked, 30)
    assert answered.status == "finished"
    assert [token["text"] for token in answered.result["tokens"]] == ["<s>", "Lily", " sang"]


def test_nobody_waits_where_nobody_can_answer(
    experiment: Experiment, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses.time, "sleep", lambda _: pytest.fail("it waited"))
    assert wait_for(request_analysis(experiment.pk, "Lily"), 30).is_pending


def test_workers_are_reminded_once_of_what_they_forgot(
    experiment: Experiment, sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    record_heartbeat("busy", ["lens", "features"])
    asked = request_analysis(experiment.pk, "Lily")
    Analysis.objects.update(enqueued_at=timezone.now() - PATIENCE - timedelta(seconds=1))
    with django_capture_on_commit_callbacks(execute=True):
        wait_for(asked, 0)
        wait_for(asked, 0)
    assert sent == [str(asked.pk)]


def test_a_person_sees_their_own_analyses_newest_first(experiment: Experiment, owner: User, sent: list[str]) -> None:
    mine = [request_analysis(experiment.pk, text, author=owner) for text in ("one", "two")]
    request_analysis(experiment.pk, "somebody else's")
    assert list(analyses_of(owner)) == mine[::-1]
    assert not analyses_of(AnonymousUser()).exists()


def test_an_analysis_goes_with_its_experiment(experiment: Experiment, sent: list[str]) -> None:
    asked = request_analysis(experiment.pk, "Lily")
    experiment.delete()
    with pytest.raises(NotFound):
        find_analysis(asked.pk)
