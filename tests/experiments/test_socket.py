"""The WebSocket: events since a number, parts of the page, who is let in, and when it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from experiments import consumers
from experiments.models import Experiment, Metric
from experiments.services import leases
from latentlens.asgi import application

Make = Callable[..., Experiment]
Status = Experiment.Status
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SECONDS_BETWEEN_LOOKS", 0.01)


@pytest.fixture
def cookies(page_client: Client) -> str:
    """The cookie header of a browser in which the owner is signed in."""
    return "; ".join(f"{name}={cookie.value}" for name, cookie in page_client.cookies.items())


async def open_socket(address: str, cookies: str, origin: str = "http://testserver") -> ApplicationCommunicator:
    """A connection that has been asked for and not been answered yet."""
    path, _, query = address.partition("?")
    headers = [(b"cookie", cookies.encode()), (b"origin", origin.encode()), (b"host", b"testserver")]
    scope = {"type": "websocket", "path": path, "query_string": query.encode(), "headers": headers, "subprotocols": []}
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "websocket.connect"})
    return communicator


@asynccontextmanager
async def socket(experiment_id: int, cookies: str = "", query: str = "") -> AsyncIterator[ApplicationCommunicator]:
    communicator = await open_socket(f"/ws/experiments/{experiment_id}?{query}", cookies)
    assert (await communicator.receive_output(timeout=20))["type"] == "websocket.accept"
    try:
        yield communicator
    finally:
        await communicator.send_input({"type": "websocket.disconnect", "code": 1001})
        await communicator.wait(timeout=20)


async def closing_code(communicator: ApplicationCommunicator) -> int:
    message: dict[str, Any] = await communicator.receive_output(timeout=20)
    assert message["type"] == "websocket.close", message
    return int(message["code"])


async def text(communicator: ApplicationCommunicator) -> str:
    message: dict[str, Any] = await communicator.receive_output(timeout=20)
    assert message["type"] == "websocket.send", message
    return str(message["text"])


async def event(communicator: ApplicationCommunicator) -> dict[str, Any]:
    return dict(json.loads(await text(communicator)))


def measured(experiment: Experiment, *numbers: int) -> None:
    """Metrics with these event numbers, as a runner writes them."""
    for number in numbers:
        Metric.objects.create(
            experiment=experiment, sequence=number, step=number, tokens=number, values={"loss": 1 / number}
        )
    Experiment.objects.filter(pk=experiment.pk).update(sequence=max(numbers) + 1)


async def test_events_since_a_number_and_then_what_is_new(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    await sync_to_async(measured)(experiment, 1, 2, 3)
    async with socket(experiment.pk, cookies, "since=1") as connection:
        seen = [await event(connection) for _ in range(3)]
        assert [(item["type"], item["seq"]) for item in seen] == [("metric", 2), ("metric", 3), ("experiment", 4)]
        assert seen[0]["values"] == {"loss": 0.5}
        assert seen[2]["status"] == "queued"
        await sync_to_async(measured)(experiment, 5)
        later = [await event(connection) for _ in range(2)]
        assert [(item["type"], item["seq"]) for item in later] == [("metric", 5), ("experiment", 6)]


async def test_a_client_that_reconnects_is_told_nothing_twice(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    await sync_to_async(measured)(experiment, 1, 2)
    async with socket(experiment.pk, cookies, "since=3") as connection:
        assert await connection.receive_nothing(timeout=0.1)


async def test_the_end_is_told_and_the_socket_closed(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    await sync_to_async(leases.claim)(experiment.pk, "w")
    async with socket(experiment.pk, cookies) as connection:
        assert (await event(connection))["status"] == "running"
        await sync_to_async(leases.conclude)(experiment.pk, "w", Status.FAILED, error="It broke.")
        last = await event(connection)
        assert (last["status"], last["error"]) == ("failed", "It broke.")
        assert await closing_code(connection) == 1000


async def test_parts_of_the_page_come_when_they_change(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)(name="<script>alert(1)</script>")
    async with socket(experiment.pk, cookies, "format=html") as connection:
        first = await text(connection)
        assert 'id="experiment-header"' in first
        assert 'id="experiment-progress"' in first
        assert "<script" not in first
        await sync_to_async(leases.claim)(experiment.pk, "w")
        assert "Starting: the worker loads the model" in await text(connection)
        changes = {"stage": "training", "step": 1, "steps": 2}
        await sync_to_async(leases.renew)(experiment.pk, "w", events=1, **changes)
        second = await text(connection)
        assert "50 % of" in second
        assert 'id="experiment-quality"' not in second  # it looks as before
        number = await sync_to_async(lambda: Experiment.objects.get().sequence)()
        await sync_to_async(measured)(experiment, number + 1)
        assert 'id="metric-points"' in await text(connection)


async def test_a_deleted_experiment_ends_the_socket(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    async with socket(experiment.pk, cookies) as connection:
        await event(connection)
        await sync_to_async(Experiment.objects.all().delete)()
        assert await closing_code(connection) == consumers.NO_SUCH_EXPERIMENT


async def test_strangers_are_sent_away(make_experiment: Make) -> None:
    experiment = await sync_to_async(make_experiment)()
    async with socket(experiment.pk) as connection:
        assert await closing_code(connection) == consumers.NOT_SIGNED_IN


@pytest.mark.parametrize("since", ["-1", "x", "NaN", str(2**70)])
async def test_a_number_that_is_none(make_experiment: Make, cookies: str, since: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    async with socket(experiment.pk, cookies, f"since={since}") as connection:
        assert await closing_code(connection) == consumers.BAD_REQUEST


async def test_an_experiment_that_never_was(cookies: str) -> None:
    async with socket(10**30, cookies) as connection:
        assert await closing_code(connection) == consumers.NO_SUCH_EXPERIMENT


async def test_other_sites_are_sent_away(make_experiment: Make, cookies: str) -> None:
    experiment = await sync_to_async(make_experiment)()
    communicator = await open_socket(f"/ws/experiments/{experiment.pk}", cookies, origin="https://evil.example")
    assert (await communicator.receive_output(timeout=20))["type"] == "websocket.close"
