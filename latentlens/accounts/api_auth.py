"""How a caller of the API proves who it is: a key in the header, or the session of a page (with its CSRF token)."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyHeader, SessionAuth

from latentlens.accounts.services import user_of_api_key


class KeyAuth(APIKeyHeader):
    """Header `X-API-Key`. The request keeps its row as `api_key`, so that what it writes is signed with it."""

    param_name = "X-API-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        known = user_of_api_key(key) if key else None
        if known is None:
            return None
        request.user, request.api_key = known  # type: ignore[attr-defined]
        return known[0]


class PageAuth(SessionAuth):
    """The session cookie. Nobody signed in is a 401 before it is a missing CSRF token."""

    def __call__(self, request: HttpRequest) -> User | None:
        if not request.user.is_authenticated:
            return None
        user: User | None = super().__call__(request)
        return user
