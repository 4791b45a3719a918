"""Requests have a thread each, and threads go on with their database connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started
from django.db import connection, connections

from latentlens.lib.request_threads import RequestThreads
from tests.worker_processes import wait_until


class Requests:
    """Each is answered by `work`, in a thread, as a view is."""

    def __init__(self, work: Callable[[], Any], kept: int = 8) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await sync_to_async(work)()

        self._threads = RequestThreads(application, kept)

    async def one(self) -> None:
        await self._threads({"type": "http"}, None, None)  # type: ignore[arg-type]  # neither is asked for anything

    async def expect_idle(self, threads: int) -> None:
        await asyncio.to_thread(wait_until, lambda: self._threads.idle == threads, what="the threads to be free")


async def test_a_thread_answers_one_request_after_another() -> None:
    met: list[threading.Thread] = []
    requests = Requests(lambda: met.append(threading.current_thread()))
    for _ in range(3):
        await requests.one()
        await requests.expect_idle(1)
    assert len(set(met)) == 1
    assert met[0] is not threading.current_thread()


async def test_requests_at_once_have_a_thread_each_and_few_are_kept() -> None:
    together = threading.Barrier(4, timeout=60)
    met: list[threading.Thread] = []

    def meet() -> None:
        met.append(threading.current_thread())
        together.wait()

    requests = Requests(meet, kept=1)
    await asyncio.gather(*(requests.one() for _ in range(4)))
    assert len(set(met)) == 4
    await asyncio.to_thread(wait_until, lambda: sum(thread.is_alive() for thread in met) == 1, what="three to end")


async def test_a_thread_that_is_busy_for_somebody_who_left_is_given_to_nobody() -> None:
    started, go_on = threading.Event(), threading.Event()
    met: list[int] = []

    def work() -> None:
        met.append(threading.get_ident())
        if len(met) == 1:
            started.set()
            go_on.wait(60)

    requests = Requests(work)
    gone = asyncio.create_task(requests.one())
    await asyncio.to_thread(started.wait, 60)
    gone.cancel()
    await requests.one()
    assert len(set(met)) == 2
    go_on.set()
    await asyncio.gather(gone, return_exceptions=True)
    await requests.expect_idle(2)


@pytest.mark.django_db(transaction=True)
async def test_a_connection_lasts_from_request_to_request_and_a_broken_one_is_made_anew() -> None:
    raw: list[Any] = []
    can_break = connection.vendor == "postgresql"  # SQLite's is a file, and taken for whole

    def work() -> None:
        request_started.send(sender=None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        raw.append(connection.connection)
        if len(raw) == 2 and can_break:
            raw[-1].close()
        request_finished.send(sender=None)
        if len(raw) == 3:
            connections.close_all()

    requests = Requests(work)
    for _ in range(3):
        await requests.one()
        await requests.expect_idle(1)
    assert raw[0] is raw[1]
    assert (raw[2] is raw[1]) == (not can_break)
