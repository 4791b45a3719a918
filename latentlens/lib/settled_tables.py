"""After many rows were written at once: what Postgres' autovacuum would do in a minute or never, now."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model


def settle(*models: type[Model]) -> None:
    """Lets Postgres plan by what these tables hold now, and read their indexes alone where those hold all.

    Until a table is vacuumed, a count by an index looks up every row. Nothing on SQLite, which has no such need, and
    inside a transaction, where it cannot be done. Whoever else vacuums a table is not waited for.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return
    tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) {tables}")
