"""The refusals that every API operation declares: `response={200: Item, **REFUSALS}`."""

from __future__ import annotations

from ninja import Schema


class ProblemDetail(Schema):
    code: str
    message: str
    fields: dict[str, str]


class ProblemBody(Schema):
    """The body of every answer that is not a success."""

    error: ProblemDetail


REFUSALS: dict[int, type[Schema]] = {401: ProblemBody, 404: ProblemBody, 409: ProblemBody, 422: ProblemBody}
