"""What Postgres knows of a table after many rows were written at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from latentlens.lib.settled_tables import settle


def vacuums() -> int:
    """How often the table was vacuumed by hand, as the server counts it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = %s", [Group._meta.db_table])
        return int(cursor.fetchone()[0])


def rows_planned_with() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [Group._meta.db_table])
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_postgres_plans_by_what_was_just_written() -> None:
    Group.objects.bulk_create([Group(name=f"group {number}") for number in range(300)])
    settle(Group)
    if connection.vendor == "postgresql":
        assert rows_planned_with() == 300
        assert vacuums() > 0
    assert Group.objects.count() == 300


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_nothing_is_done_and_nothing_fails() -> None:
    with transaction.atomic():
        Group.objects.create(name="one")
        settle(Group)
    assert Group.objects.count() == 1
