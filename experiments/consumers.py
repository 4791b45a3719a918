"""The WebSocket of one experiment: news as JSON events, or (`format=html`) as the parts of its page.

News is what lies behind the newest event number that the client has seen (`since=`), so a client that reconnects
misses nothing and is told nothing twice. With a channel layer a group message wakes us; without one we look often.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from experiments.live_feed import EventFeed, Feed, PageFeed
from experiments.services.events import LARGEST_SEQUENCE
from experiments.services.queue import watchers_of
from latentlens.lib.logs import get_logger
from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Refused

SECONDS_BETWEEN_LOOKS = 0.25
SECONDS_BETWEEN_LOOKS_WHEN_WOKEN = 5.0
# A busy runner announces news four times a second; a browser needs no more than this.
SECONDS_TO_GATHER = 0.1
ENDED, TRY_AGAIN = 1000, 1011
BAD_REQUEST, NOT_SIGNED_IN, NO_SUCH_EXPERIMENT = 4400, 4401, 4404
_log = get_logger(__name__)


class ExperimentConsumer(AsyncWebsocketConsumer):
    """Follows one experiment until it has ended or the client leaves."""

    async def connect(self) -> None:
        self._experiment_id = int(self.scope["url_route"]["kwargs"]["experiment_id"])
        self._woken = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(code=NOT_SIGNED_IN)
            return
        try:
            feed = self._feed()
        except Refused:
            await self.close(code=BAD_REQUEST)
            return
        if self.channel_layer is not None:
            await self.channel_layer.group_add(watchers_of(self._experiment_id), self.channel_name)
        self._follower = asyncio.create_task(self._follow(feed))

    async def disconnect(self, code: int) -> None:
        if self.channel_layer is not None:
            await self.channel_layer.group_discard(watchers_of(self._experiment_id), self.channel_name)
        if self._follower is not None:
            self._follower.cancel()

    async def experiment_changed(self, message: dict[str, Any]) -> None:
        """A runner or a service says that there is news (see `services.queue.announce`)."""
        self._woken.set()

    def _feed(self) -> Feed:
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        since = parse_integer(query.get("since", ["0"])[0], field="since", minimum=0, maximum=LARGEST_SEQUENCE)
        as_page = query.get("format", [""])[0] == "html"
        return (PageFeed if as_page else EventFeed)(self._experiment_id, since)

    async def _follow(self, feed: Feed) -> None:
        try:
            await self._send_news(feed)
        except Exception:  # nobody awaits this task; the client is told to come again
            _log.exception("watcher failed", experiment=self._experiment_id)
            await self.close(code=TRY_AGAIN)

    async def _send_news(self, feed: Feed) -> None:
        while True:
            sending = await database_sync_to_async(feed.next)()
            if sending is None:
                await self.close(code=NO_SUCH_EXPERIMENT)
                return
            for message in sending.messages:
                await self.send(text_data=message)
            if sending.is_last:
                await self.close(code=ENDED)
                return
            await self._wait()

    async def _wait(self) -> None:
        if self.channel_layer is None:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), SECONDS_BETWEEN_LOOKS_WHEN_WOKEN)
        await asyncio.sleep(SECONDS_TO_GATHER)
        self._woken.clear()
