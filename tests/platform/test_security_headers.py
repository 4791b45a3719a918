"""What browsers are told: one strict policy, careful cookies, and who may call from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from tests.architecture.repository import ROOT, tracked_files

pytestmark = pytest.mark.django_db


def test_the_policy_allows_nothing_inline(client: Client) -> None:
    policy = client.get("/sign-in/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy  # so default-src holds for scripts and styles


def test_no_template_has_anything_inline() -> None:
    inline = re.compile(r"<script(?![^>]*\b(src|type=\"application/json\"))|\sstyle=|\son[a-z]+=|hx-on|javascript:")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked_files()
        if path.suffix == ".html"
        for match in inline.finditer(re.sub(r"{%.*?%}", "", path.read_text("utf-8")))
    ]
    assert found == []


def test_other_headers(client: Client) -> None:
    answer = client.get("/sign-in/")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


def test_the_session_cookie_is_for_our_pages_only(client: Client, owner: User, settings: Any) -> None:
    owner.set_password("correct horse")
    owner.save()
    answer = client.post("/sign-in/", {"username": "owner", "password": "correct horse"})
    cookie = answer.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_two_installations_on_one_machine_keep_their_cookies_apart(settings: Any) -> None:
    assert re.fullmatch(r"latentlens_session_[0-9a-f]{8}", settings.SESSION_COOKIE_NAME)
    assert re.fullmatch(r"latentlens_csrf_[0-9a-f]{8}", settings.CSRF_COOKIE_NAME)


@override_settings(CORS_ALLOWED_ORIGINS=["https://notebook.example"])
def test_pages_elsewhere_may_call_the_api_only_if_they_are_allowed(api_client: Client) -> None:
    allowed = api_client.get("/api/experiments", headers={"Origin": "https://notebook.example"})
    assert allowed["Access-Control-Allow-Origin"] == "https://notebook.example"
    assert "Access-Control-Allow-Credentials" not in allowed
    assert "Access-Control-Allow-Origin" not in api_client.get(
        "/api/experiments", headers={"Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in api_client.get(
        "/sign-in/", headers={"Origin": "https://notebook.example"}
    )
