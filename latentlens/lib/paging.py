"""Keyset paging: a page begins after the last row of the one before, found by an index and not by counting rows.

The cursor is opaque to clients and says which ordering it belongs to; a cursor that was made for another ordering, or
tampered with, is refused in a sentence.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet

from latentlens.lib.numbers import parse_integer
from latentlens.lib.problems import Refused, refused_field

Row = TypeVar("Row", bound=Model)
_UNUSABLE = (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError)
DEFAULT_LIMIT = 50
MAXIMUM_LIMIT = 200


@dataclass(frozen=True)
class Page(Generic[Row]):
    """The rows of one page, and the cursor of the next (None: this is the last)."""

    items: list[Row]
    next: str | None


@dataclass(frozen=True)
class Ordering:
    """Order by a field (or annotation) that is never null; the primary key decides between equal values.

    `key` is an annotation that equals the primary key, where an index holds it under another name. `name` stands in the
    cursor, and tells apart orderings by the same field.
    """

    field: str = "pk"
    descending: bool = False
    key: str = "pk"
    name: str = ""

    @property
    def signed(self) -> list[str]:
        """For `order_by`."""
        sign = "-" if self.descending else ""
        return [f"{sign}{name}" for name in dict.fromkeys((self.field, self.key))]


Part = tuple[QuerySet[Row], Ordering]


def parse_limit(value: object, default: int = DEFAULT_LIMIT, maximum: int = MAXIMUM_LIMIT) -> int:
    if value is None or value == "":
        return default
    return parse_integer(value, field="limit", minimum=1, maximum=maximum)


def page_of(rows: QuerySet[Row], ordering: Ordering, *, limit: int, cursor: str | None = None) -> Page[Row]:
    """The first `limit` rows after `cursor`, in one query; raises `Refused` for a cursor that makes no sense."""
    return page_of_parts([(rows, ordering)], limit=limit, cursor=cursor)


def page_of_parts(parts: Sequence[Part[Row]], *, limit: int, cursor: str | None = None) -> Page[Row]:
    """The same of a list that is made of several, one after the other; one query for each that the page touches.

    No two parts have an ordering in common; that of the cursor says where the page begins.
    """
    if cursor:
        parts = _after(parts, cursor)
    found: list[tuple[Row, Ordering]] = []
    for rows, ordering in parts:
        found += [(row, ordering) for row in rows.order_by(*ordering.signed)[: limit + 1 - len(found)]]
        if len(found) > limit:
            break
    items = found[:limit]
    return Page([row for row, _ in items], cursor_after(*items[-1]) if len(found) > limit else None)


def _after(parts: Sequence[Part[Row]], cursor: str) -> list[Part[Row]]:
    """What is left of the parts after a cursor."""
    name, descending, value, key = _read(cursor)
    for place, (rows, ordering) in enumerate(parts):
        if (ordering.name or ordering.field, ordering.descending) == (name, descending):
            try:
                return [(rows.filter(_beyond(rows.model, ordering, value, key)), ordering), *parts[place + 1 :]]
            except _UNUSABLE:  # an annotation takes values of its own type alone
                break
    raise _bad_cursor()


def _beyond(model: type[Model], ordering: Ordering, value: Any, key: Any) -> Q:
    side = "lt" if ordering.descending else "gt"
    after_key = Q(**{f"{ordering.key}__{side}": _python_value(model, "pk", key)})
    if ordering.field == "pk":
        return after_key
    value = _python_value(model, ordering.field, value)
    # The first condition alone lets the database begin in the middle of an index on (field, pk).
    return Q(**{f"{ordering.field}__{side}e": value}) & (Q(**{f"{ordering.field}__{side}": value}) | after_key)


def cursor_after(row: Model, ordering: Ordering) -> str:
    """The cursor of the page that begins after a row, whose key of the ordering is loaded."""
    parts = [ordering.name or ordering.field, ordering.descending, getattr(row, ordering.field), row.pk]
    return base64.urlsafe_b64encode(json.dumps(parts, cls=_ExactEncoder).encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[Any, Any, Any, Any]:
    """Name of the ordering, whether it descends, value and primary key, whatever they are."""
    try:
        name, descending, value, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except _UNUSABLE:
        raise _bad_cursor() from None
    return name, descending, value, key


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
