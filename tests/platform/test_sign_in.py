"""Coming in by link or password, going out, and what a stranger sees."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from latentlens.accounts.models import SignInLink
from latentlens.accounts.services import new_sign_in_token, redeem_sign_in_token

pytestmark = pytest.mark.django_db


def test_a_page_asks_a_stranger_to_sign_in(client: Client) -> None:
    answer = client.get("/docs?x=1")
    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=/docs%3Fx%3D1"


def test_a_partial_is_not_replaced_by_the_sign_in_page(client: Client) -> None:
    htmx = {"HX-Request": "true", "HX-Current-URL": "http://testserver/experiments/1/?tab=2"}
    answer = client.get("/docs", headers=htmx)
    assert answer["HX-Redirect"] == "/sign-in/?next=/experiments/1/%3Ftab%3D2"
    assert not answer.content


def test_a_link_signs_in_once(client: Client, owner: User) -> None:
    token = new_sign_in_token(owner)
    assert client.get(f"/sign-in/{token}/")["Location"] == "/"
    assert client.get("/docs").status_code == 200

    second = Client().get(f"/sign-in/{token}/")
    assert second.status_code == 410
    assert "has been used" in second.content.decode()


def test_only_the_hash_of_a_link_is_stored(owner: User) -> None:
    token = new_sign_in_token(owner)
    row = SignInLink.objects.get()
    assert token not in str(vars(row))


def test_a_link_ends_after_its_time(owner: User) -> None:
    token = new_sign_in_token(owner)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert redeem_sign_in_token(token) is None


def test_a_new_link_ends_the_one_before(owner: User) -> None:
    first = new_sign_in_token(owner)
    second = new_sign_in_token(owner)
    assert redeem_sign_in_token(first) is None
    assert redeem_sign_in_token(second) == owner


def test_signing_in_by_password(client: Client, owner: User) -> None:
    assert not owner.has_usable_password()
    owner.set_password("correct horse")
    owner.save()
    wrong = client.post("/sign-in/", {"username": "owner", "password": "x", "next": "/docs"})
    assert "correct username and password" in wrong.content.decode()
    right = client.post("/sign-in/", {"username": "owner", "password": "correct horse", "next": "/docs"})
    assert right["Location"] == "/docs"


def test_the_sign_in_page_leads_nowhere_else(client: Client, owner: User) -> None:
    owner.set_password("correct horse")
    owner.save()
    form = {"username": "owner", "password": "correct horse", "next": "https://evil.example/"}
    assert client.post("/sign-in/", form)["Location"] == "/"


def test_signing_out(page_client: Client) -> None:
    assert page_client.get("/sign-out/").status_code == 405
    assert page_client.post("/sign-out/")["Location"] == "/sign-in/"
    assert page_client.get("/docs").status_code == 302


def test_a_form_without_its_token_is_refused_in_a_sentence(owner: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    answer = strict.post("/sign-out/")
    assert answer.status_code == 403
    assert "reload the page" in answer.content.decode()


def test_the_command_prints_a_working_link(client: Client) -> None:
    out = StringIO()
    call_command("sign_in_link", stdout=out)
    url = out.getvalue().strip()
    assert url.startswith("http://127.0.0.1:")
    assert client.get("/sign-in/" + url.split("/sign-in/")[1])["Location"] == "/"


def test_the_command_knows_its_users() -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("sign_in_link", "nobody")
