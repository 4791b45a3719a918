"""One thread for the whole of a request, and threads that go on, with their database connections, to the next one.

Django's ASGI handler starts a thread for each request, and goes to it and back for every step of every middleware.
Connections belong to threads, so each request would connect anew: a few milliseconds on SQLite, which reads its schema,
and more on Postgres, which starts a process.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import AsyncToSync, ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections

from latentlens.lib.asgi_types import Application, Message, Receive, Send

KEPT = 8


class OneThreadHandler(ASGIHandler):
    """Runs the middleware and the view of a request one after another in its thread, as under WSGI.

    Middleware that can only be asynchronous, and what is around it, stays in the event loop.
    """

    def load_middleware(self, is_async: bool = True) -> None:
        super().load_middleware(is_async=False)
        chain: Any = self._middleware_chain  # type: ignore[has-type]  # Django says nothing about it
        is_asynchronous = isinstance(chain, AsyncToSync)
        self._middleware_chain = chain.awaitable if is_asynchronous else sync_to_async(chain, thread_sensitive=True)


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
