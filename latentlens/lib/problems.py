"""What cannot be done, as an exception with one clear sentence, and as the JSON body that every refusal has.

{"error": {"code": "refused", "message": "k is larger than n_features.", "fields": {"k": "..."}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Problem(Exception):  # noqa: N818 - a refusal, not a malfunction
    """A request that cannot be served; `message` is one sentence for a person, `fields` says which input is meant."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})

    @property
    def body(self) -> dict[str, Any]:
        return problem_body(self.code, self.message, self.fields)


class Refused(Problem):
    """The input is understood and cannot be used (422)."""

    status = 422
    code = "refused"


class NotFound(Problem):
    """There is no such thing (404)."""

    status = 404
    code = "not_found"


class Conflict(Problem):
    """It cannot be done in the present state (409)."""

    status = 409
    code = "conflict"


class TooLarge(Problem):
    """More bytes than are taken in (413)."""

    status = 413
    code = "too_large"


def refused_field(field: str, message: str) -> Refused:
    """A refusal of one field: its sentence is also the message."""
    return Refused(message, {field: message})


def problem_body(code: str, message: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "fields": dict(fields or {})}}
