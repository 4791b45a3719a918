"""On SQLite the threads of a process write in the order in which they came."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from latentlens.lib.sqlite_in_turn.turns import Turns
from tests.worker_processes import wait_until

SHORT = 0.01


def in_threads(*work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    return threads


def test_turns_are_had_in_the_order_in_which_they_were_asked_for() -> None:
    turns, had = Turns(), []
    assert turns.take(SHORT)

    def wait(number: int) -> None:
        assert turns.take(60)
        had.append(number)
        turns.end()

    threads = []
    for number in range(5):
        threads += in_threads(lambda number=number: wait(number))  # type: ignore[misc]
        wait_until(lambda number=number: turns.waiting == number + 1, what="the thread to wait")  # type: ignore[misc]
    turns.end()
    for thread in threads:
        thread.join(60)
    assert had == [0, 1, 2, 3, 4]


def test_who_gives_up_is_not_waited_for() -> None:
    turns = Turns()
    assert turns.take(SHORT)
    assert not turns.take(SHORT)
    assert turns.waiting == 0
    turns.end()
    assert turns.take(SHORT)


sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="on Postgres writers do not wait for each other")


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_transaction_begins_when_the_one_before_has_ended() -> None:
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            User.objects.create(username="first")
            begun.set()
            go_on.wait(60)
            order.append("first")
        connection.close()

    def second() -> None:
        begun.wait(60)
        with transaction.atomic():
            order.append("second")
            User.objects.create(username="second")
        connection.close()

    threads = in_threads(first, second)
    begun.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert order == ["first", "second"]
    assert User.objects.filter(username__in=order).count() == 2


@sqlite_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ["an error", "a closed connection"])
def test_the_turn_ends_with_the_transaction_however_that_ends(ending: str) -> None:
    def fail() -> None:
        try:
            with transaction.atomic():
                User.objects.create(username="gone")
                if ending == "a closed connection":
                    connection.close()
                raise ValueError(ending)
        except ValueError:
            connection.close()

    for thread in in_threads(fail):
        thread.join(60)
    with transaction.atomic():
        User.objects.create(username="here")
    assert list(User.objects.values_list("username", flat=True)) == ["here"]
    assert connection._turn is None  # type: ignore[attr-defined]
