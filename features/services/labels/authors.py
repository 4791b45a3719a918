"""Who writes: a person at a page, a program with a person's key, or a method of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from latentlens.accounts.models import ApiKey


@dataclass(frozen=True)
class Author:
    """`method` is empty for a person. `who` is the name that the history keeps."""

    user: User | None = None
    key: ApiKey | None = None
    method: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Author:
        """The person of a page, or the key of an API call and its person."""
        return cls.person(request.user, getattr(request, "api_key", None))

    @classmethod
    def person(cls, user: Any, key: ApiKey | None = None) -> Author:
        known = user if user is not None and not isinstance(user, AnonymousUser) else None
        return cls(user=known, key=key)

    @classmethod
    def machine(cls, method: str, user: User | None = None) -> Author:
        """A method such as "token statistics"; `user` is who asked for it."""
        return cls(user=user, method=method)

    @property
    def who(self) -> str:
        if self.method:
            return self.method
        name = self.user.get_username() if self.user else ""
        return f"{name} ({self.key.name})" if self.key else name

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of an `Authored` row."""
        user_id, key_id = self.user and self.user.pk, self.key and self.key.pk
        return {"user_id": user_id, "key_id": key_id, "method": self.method, "who": self.who}
