"""Threads, and with them database connections, that go on from one request to the next.

Django's ASGI handler starts a thread for each request. Connections belong to threads, so each request would connect
anew: a few milliseconds on SQLite, which reads its schema, and more on Postgres, which starts a process.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from latentlens.lib.asgi_types import Application, Message, Receive, Send

KEPT = 8


class RequestThreads:
    """An ASGI application whose requests have a thread each, as many as come; the last `kept` wait for further ones."""

    def __init__(self, application: Application, kept: int = KEPT) -> None:
        self._application, self._kept = application, kept
        self._idle: list[ThreadPoolExecutor] = []

    @property
    def idle(self) -> int:
        """How many threads wait for a request."""
        return len(self._idle)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "request", keep_connections)
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            # By the thread itself, which may still be busy for somebody who has gone away.
            thread.submit(self._give_back, thread)

    def _give_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self._idle) < self._kept:
            self._idle.append(thread)
        else:
            connections.close_all()
            thread.shutdown(wait=False)


def keep_connections() -> None:
    """Lets the database connections of this thread live as long as it; broken ones are made anew."""
    for connection in connections.all():
        connection.settings_dict = connection.settings_dict | {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
