"""The door of the WebSockets: an address nobody answers is closed quietly, a foreign page is kept out."""

from __future__ import annotations

import pytest
from asgiref.testing import ApplicationCommunicator

from latentlens.asgi import application


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/ws/no-such-thing", b"http://localhost"),
        ("/ws/experiments/1", b"https://evil.example"),
        ("/ws/experiments/1", None),
    ],
)
async def test_a_socket_that_is_refused(path: str, origin: bytes | None) -> None:
    headers = [(b"host", b"localhost")] + ([(b"origin", origin)] if origin else [])
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
    visitor = ApplicationCommunicator(application, scope)
    await visitor.send_input({"type": "websocket.connect"})
    assert (await visitor.receive_output(timeout=30))["type"] == "websocket.close"
    await visitor.wait()
