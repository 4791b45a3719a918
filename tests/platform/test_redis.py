"""Scaled out: the broker and the channel layer over a real Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from channels_redis.core import RedisChannelLayer
from channels_redis.utils import create_pool
from kombu import Connection

from latentlens.lib.channel_layers import channel_layers
from tests.platform.echo_tasks import write_line
from tests.worker_processes import start_worker, wait_until

pytestmark = pytest.mark.services


@pytest.mark.processes
def test_a_task_travels_over_redis(redis_server: str, child_environment: dict[str, str], tmp_path: Path) -> None:
    environment = child_environment | {"REDIS_URL": redis_server}
    app = "tests.platform.echo_tasks"
    worker = start_worker(environment, tmp_path / "worker.log", queues="lens", pool="solo", app=app)
    out = tmp_path / "out"
    try:
        with Connection(redis_server) as broker:
            for number in range(20):
                write_line.apply_async((str(out), str(number)), connection=broker)
        wait_until(lambda: out.exists() and len(out.read_text().split()) == 20, what="20 lines")
    finally:
        worker.kill_all()


def test_a_hint_reaches_another_process(redis_server: str) -> None:
    @async_to_sync
    async def send_and_receive() -> object:
        sender, receiver = (RedisChannelLayer(hosts=[redis_server]) for _ in range(2))
        channel = await receiver.new_channel()
        await receiver.group_add("experiment.1", channel)
        await sender.group_send("experiment.1", {"type": "news"})
        message = await receiver.receive(channel)
        await sender.close_pools()
        await receiver.close_pools()
        return message

    assert send_and_receive() == {"type": "news"}


def test_the_layer_may_wait_longer_than_redis_lets_a_read_take(redis_server: str) -> None:
    """Both are 5 s by default since redis-py 8: an idle page would lose its socket whenever the read gave up first."""
    configured = channel_layers(redis_server)["default"]["CONFIG"]
    pool = create_pool(configured["hosts"][0])
    assert pool.connection_kwargs["socket_timeout"] is None
    assert RedisChannelLayer(**configured).brpop_timeout > 0
