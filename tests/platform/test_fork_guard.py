"""A fork waits for background database work and takes no open connection into the child."""

from __future__ import annotations

import os
import threading

import pytest
from django.db import connection

from latentlens.lib import fork_guard

pytestmark = pytest.mark.django_db(transaction=True)


def _connection_in_a_forked_child() -> str:
    """ "open" or "closed"."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"open" if connection.connection is not None else b"closed")
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return answer.read()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_no_connection_crosses_a_fork() -> None:
    fork_guard.install()
    connection.ensure_connection()
    assert _connection_in_a_forked_child() == "closed"
    connection.ensure_connection()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_waits_for_background_work() -> None:
    fork_guard.install()
    working, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        with fork_guard.database_work():
            working.set()
            may_end.wait(10)
            order.append("work ended")

    worker = threading.Thread(target=work)
    worker.start()
    working.wait(10)
    threading.Timer(0.2, may_end.set).start()
    _connection_in_a_forked_child()
    order.append("forked")
    worker.join()
    assert order == ["work ended", "forked"]


def test_background_work_leaves_no_connection() -> None:
    open_afterwards: list[bool] = []

    def work() -> None:
        with fork_guard.database_work():
            connection.ensure_connection()
        open_afterwards.append(connection.connection is not None)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert open_afterwards == [False]
