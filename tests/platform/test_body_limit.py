"""A request without an end is stopped while it comes."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from django.core.asgi import get_asgi_application

from latentlens.lib.body_limit import BodyLimit


async def answered(parts: list[bytes], largest: int) -> tuple[list[MutableMapping[str, Any]], int]:
    """What is sent, and how many parts of the body were read."""
    sent: list[MutableMapping[str, Any]] = []
    waiting = list(parts)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.disconnect":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await BodyLimit(application, largest)({"type": "http"}, receive, send)
    return sent, len(parts) - len(waiting)


@pytest.mark.django_db
async def test_django_keeps_nothing_of_what_is_too_large() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"0" * 600, "more_body": True}  # it never ends

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/corpora", "headers": [], "query_string": b""}
    await BodyLimit(get_asgi_application(), 1_000)(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_a_body_within_the_limit_is_handed_on() -> None:
    sent, _ = await answered([b"1234", b"5678"], largest=8)
    assert [message.get("status") for message in sent] == [200]


async def test_reading_stops_as_soon_as_there_is_too_much() -> None:
    sent, read = await answered([b"1234", b"5678", b"9", b"10"], largest=8)
    assert (sent[0]["status"], read) == (413, 3)
    assert json.loads(sent[1]["body"])["error"]["code"] == "too_large"
