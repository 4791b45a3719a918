"""Requests have a thread each, and threads go on with their database connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction, markcoroutinefunction, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.signals import request_finished, request_started
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from latentlens.lib.request_threads import OneThreadHandler, RequestThreads
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


met_in_request: list[tuple[str, threading.Thread]] = []


class Either(MiddlewareMixin):
    """Middleware as Django's own: it can be in a thread, and in the event loop."""

    def process_request(self, request: HttpRequest) -> None:
        met_in_request.append(("request", threading.current_thread()))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        met_in_request.append(("response", threading.current_thread()))
        return response


class OnlyAsynchronous:
    """Middleware as that which serves static files."""

    sync_capable, async_capable = False, True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        assert iscoroutinefunction(get_response)
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        met_in_request.append(("asynchronous", threading.current_thread()))
        return await self._get_response(request)


def view(request: HttpRequest) -> HttpResponse:
    met_in_request.append(("view", threading.current_thread()))
    return HttpResponse("seen")


urlpatterns = [path("", view)]


@pytest.mark.parametrize("outer", [[], [f"{__name__}.OnlyAsynchronous"]])
async def test_middleware_and_view_of_a_request_run_in_one_go(outer: list[str]) -> None:
    met_in_request.clear()
    started_by_request: list[Any] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            started_by_request.append(arguments)
            return super().submit(*arguments, **options)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext(executor=Counting(1)):
            await OneThreadHandler().handle(scope, receive, send)

    with override_settings(MIDDLEWARE=[*outer, *2 * [f"{__name__}.Either"]], ROOT_URLCONF=__name__):
        assert await _answer_of(application) == (200, b"seen")
    inner = [(step, thread) for step, thread in met_in_request if step != "asynchronous"]
    assert [step for step, _ in inner] == ["request", "request", "view", "response", "response"]
    assert len({thread for _, thread in inner}) == 1
    assert inner[0][1] is not threading.current_thread()
    assert [thread for step, thread in met_in_request if step == "asynchronous"] == (
        [threading.current_thread()] if outer else []
    )
    assert len(started_by_request) == 3  # what begins a request, all of this, and what ends it


async def _answer_of(application: Any) -> tuple[int, bytes]:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(60)
    body = await communicator.receive_output(60)
    await communicator.wait(60)
    return start["status"], body["body"]
