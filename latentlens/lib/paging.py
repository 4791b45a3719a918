"""Keyset paging: a page begins after the last row of the one before, found by an index and not by counting rows.

The cursor is opaque to clients and says which ordering it belongs to; a cursor that was made for another ordering, or
tampered with, is refused in a sentence.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet

from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Refused, refused_field

Row = TypeVar("Row", bound=Model)
DEFAULT_LIMIT = 50
MAXIMUM_LIMIT = 200


@dataclass(frozen=True)
class Page(Generic[Row]):
    """The rows of one page, and the cursor of the next (None: this is the last)."""

    items: list[Row]
    next: str | None


@dataclass(frozen=True)
class Ordering:
    """Order by a field (or annotation) that is never null; the primary key decides between equal values."""

    field: str = "pk"
    descending: bool = False


def parse_limit(value: object, default: int = DEFAULT_LIMIT, maximum: int = MAXIMUM_LIMIT) -> int:
    if value is None or value == "":
        return default
    return parse_integer(value, field="limit", minimum=1, maximum=maximum)


def page_of(rows: QuerySet[Row], ordering: Ordering, *, limit: int, cursor: str | None = None) -> Page[Row]:
    """The first `limit` rows after `cursor`, in one query; raises `Refused` for a cursor that makes no sense."""
    if cursor:
        after = _after(rows.model, ordering, cursor)
        try:
            rows = rows.filter(after)
        except (ValueError, TypeError):  # an annotation takes values of its own type alone
            raise _bad_cursor() from None
    sign = "-" if ordering.descending else ""
    keys = [f"{sign}{ordering.field}"] + ([] if ordering.field == "pk" else [f"{sign}pk"])
    found = list(rows.order_by(*keys)[: limit + 1])
    items = found[:limit]
    return Page(items, cursor_after(items[-1], ordering) if len(found) > limit else None)


def _after(model: type[Model], ordering: Ordering, cursor: str) -> Q:
    value, key = _read(model, ordering, cursor)
    beyond = "lt" if ordering.descending else "gt"
    if ordering.field == "pk":
        return Q(**{f"pk__{beyond}": key})
    # The first condition alone lets the database begin in the middle of an index on (field, pk).
    return Q(**{f"{ordering.field}__{beyond}e": value}) & (
        Q(**{f"{ordering.field}__{beyond}": value}) | Q(**{f"pk__{beyond}": key})
    )


def cursor_after(row: Model, ordering: Ordering) -> str:
    """The cursor of the page that begins after a row, whose key of the ordering is loaded."""
    parts = [ordering.field, ordering.descending, getattr(row, ordering.field), row.pk]
    return base64.urlsafe_b64encode(json.dumps(parts, cls=_ExactEncoder).encode()).decode().rstrip("=")


def _read(model: type[Model], ordering: Ordering, cursor: str) -> tuple[Any, Any]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        field, descending, value, key = json.loads(text)
        if (field, descending) != (ordering.field, ordering.descending):
            raise _bad_cursor()
        return _python_value(model, ordering.field, value), _python_value(model, "pk", key)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError):
        raise _bad_cursor() from None


def _python_value(model: type[Model], name: str, value: Any) -> Any:
    """`value` as the field's own type, as it was written into the cursor by us, or an error."""
    if value is None or isinstance(value, list | dict):
        raise ValueError(value)
    try:
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError(value) from None  # Postgres takes no such text
        json.dumps(value, ensure_ascii=False).encode()  # no database takes half of a character
        return value  # an annotation: JSON's own types are enough
    return field.to_python(value) if field is not None and hasattr(field, "to_python") else value


def _bad_cursor() -> Refused:
    return refused_field("cursor", "This cursor does not belong to this list: start again without it.")


class _ExactEncoder(DjangoJSONEncoder):
    """Times keep their microseconds, so that a row is never met twice."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)
