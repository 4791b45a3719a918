"""The kombu transport `orm://`: channels that read and write the broker's table.

Kombu's virtual transport brings exchanges, bindings and prefetch limits; this module says where messages are kept. The
worker's event loop asks the table for work every `POLL_SECONDS`; everything happens in the thread that also forks pool
children, except the renewal of leases (`latentlens.broker.leases`).
"""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from kombu.asynchronous import Hub
from kombu.transport import virtual

from latentlens.broker import queues
from latentlens.broker.leases import keeper

POLL_SECONDS = 0.025


class LeasedMessages(virtual.QoS):
    """What a channel has delivered. Acknowledging deletes the row; a closed channel changes nothing (see LeaseKeeper).

    A delivery tag is the primary key of the message's row.
    """

    restore_at_shutdown = False

    def ack(self, delivery_tag: int) -> None:
        queues.discard(delivery_tag, keeper().owner)
        keeper().let_go(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:
        if requeue:
            queues.release([delivery_tag], keeper().owner)
        else:
            queues.discard(delivery_tag, keeper().owner)
        keeper().let_go(delivery_tag)
        super().ack(delivery_tag)


class Channel(virtual.Channel):
    QoS = LeasedMessages

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        queues.put(queue, message)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        return self._claim([queue])[1]

    def _get_many(self, active_queues: Sequence[str], timeout: float | None = None) -> None:
        """Deliver one message of any queue; kombu calls this instead of polling queue by queue."""
        queue, payload = self._claim(active_queues)
        self.connection._deliver(payload, queue)

    def _claim(self, from_queues: Sequence[str]) -> tuple[str, dict[str, Any]]:
        claimed = queues.claim(from_queues, keeper().owner)
        if claimed is None:
            raise Empty
        keeper().hold(claimed.pk)
        properties = claimed.payload["properties"]
        properties["delivery_tag"] = claimed.pk
        properties["delivery_info"]["redelivered"] = claimed.deliveries > 1
        return claimed.queue, claimed.payload

    def _size(self, queue: str) -> int:
        return queues.waiting(queue)

    def _purge(self, queue: str) -> int:
        return queues.purge(queue)

    def _new_queue(self, queue: str, **_: Any) -> None:
        """A queue needs no preparation: it is a word in a column."""


class Transport(virtual.Transport):
    Channel = Channel
    driver_type = "orm"
    driver_name = "django"
    polling_interval = POLL_SECONDS
    implements = virtual.Transport.implements.extend(asynchronous=True, exchange_type=frozenset(["direct"]))
    connection_errors = (*virtual.Transport.connection_errors, OperationalError, InterfaceError)

    def establish_connection(self) -> Transport:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        connection.ensure_connection()
        transport: Transport = super().establish_connection()
        return transport

    def register_with_event_loop(self, _connection: Transport, loop: Hub) -> None:
        loop.call_repeatedly(POLL_SECONDS, self._deliver_what_waits)

    def _deliver_what_waits(self) -> None:
        """Deliver until the queues are empty or the worker has as much as it takes."""
        while True:
            try:
                self.cycle.get(self._deliver)
            except Empty:
                return

    def driver_version(self) -> str:
        return "1"
