"""An end for request bodies, as they come: Django writes a body to disk as a whole before any view can say no."""

from __future__ import annotations

import json

from latentlens.lib.asgi_types import Application, Message, Receive, Send
from latentlens.lib.problems import TooLarge


class BodyLimit:
    """An ASGI application that answers 413 in place of `application` once more than `largest` bytes have come."""

    def __init__(self, application: Application, largest: int) -> None:
        self._application, self._largest = application, largest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            # As if the client had gone: then Django throws away what it has, and answers nothing.
            return message if came <= self._largest else {"type": "http.disconnect"}

        await self._application(scope, counted, send)
        if came > self._largest:
            refusal = TooLarge(f"A request may have at most {self._largest / 2**30:,.1f} GiB.")
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(refusal.body).encode()})
