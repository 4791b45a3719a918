"""Who may call the API: a key, or the session of a page together with its CSRF token."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from latentlens.accounts.models import ApiKey
from latentlens.accounts.services import create_api_key, user_of_api_key

pytestmark = pytest.mark.django_db
PATH = "/api/experiments"


def test_without_a_key_the_answer_says_what_to_send(client: Client) -> None:
    answer = client.get(PATH)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"
    assert "X-API-Key" in answer.json()["error"]["message"]


@pytest.mark.parametrize("key", ["", "wrong", "ll-", "ключ", "x" * 5000])
def test_a_wrong_key_is_refused(client: Client, key: str) -> None:
    assert client.get(PATH, headers={"X-API-Key": key}).status_code == 401


def test_the_installation_s_key_is_the_owner_s(settings: Any) -> None:
    known = user_of_api_key(settings.API_KEY)
    assert known is not None
    assert (known[0].username, known[1]) == ("owner", None)


def test_a_created_key_works_until_it_is_deleted(client: Client, owner: User) -> None:
    key = create_api_key(owner, "notebook")
    row = ApiKey.objects.get()
    assert key not in str(vars(row))
    assert client.get(PATH, headers={"X-API-Key": key}).status_code == 200
    row.refresh_from_db()
    assert row.last_used_at is not None
    row.delete()
    assert client.get(PATH, headers={"X-API-Key": key}).status_code == 401


def test_a_key_of_a_closed_account_is_refused(client: Client, owner: User) -> None:
    key = create_api_key(owner, "notebook")
    User.objects.update(is_active=False)
    assert client.get(PATH, headers={"X-API-Key": key}).status_code == 401


def test_a_session_needs_its_csrf_token_to_change_anything(owner: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    assert browser.get(PATH).status_code == 200
    refused = browser.post(f"{PATH}/1/cancel")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "forbidden"


def test_the_admin_shows_a_new_key_once(page_client: Client, owner: User) -> None:
    answer = page_client.post("/admin/accounts/apikey/add/", {"name": "notebook", "user": owner.pk}, follow=True)
    message = next(str(message) for message in answer.context["messages"] if "ll-" in str(message))
    key = "ll-" + message.split("ll-")[1].split()[0]
    assert user_of_api_key(key) == (owner, ApiKey.objects.get())
    assert key not in page_client.get("/admin/accounts/apikey/").content.decode()
