"""Keyset paging meets every row once, whatever the order, and refuses cursors that are not its own."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from latentlens.lib.paging import Ordering, page_of, page_of_parts, parse_limit
from latentlens.lib.problems import Refused

pytestmark = pytest.mark.django_db
ORDERINGS = [Ordering(), Ordering(descending=True), Ordering("first_name"), Ordering("first_name", descending=True)]
ORDERINGS += [Ordering("date_joined"), Ordering("date_joined", descending=True)]


@pytest.fixture(autouse=True)
def people() -> None:
    """Seven people, three first names, and times that differ by microseconds."""
    now = timezone.now()
    User.objects.bulk_create(
        User(username=str(number), first_name="abc"[number % 3], date_joined=now + timedelta(microseconds=number // 2))
        for number in range(7)
    )


@pytest.mark.parametrize("ordering", ORDERINGS, ids=str)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_every_row_is_met_once_and_in_order(ordering: Ordering, limit: int) -> None:
    sign = "-" if ordering.descending else ""
    met: list[User] = []
    cursor: str | None = None
    while True:
        page = page_of(User.objects.all(), ordering, limit=limit, cursor=cursor)
        assert 1 <= len(page.items) <= limit
        met += page.items
        cursor = page.next
        if cursor is None:
            break
    assert met == list(User.objects.order_by(f"{sign}{ordering.field}", f"{sign}pk"))


def test_a_page_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        page = page_of(User.objects.all(), Ordering("first_name"), limit=2)
    with django_assert_num_queries(1):
        page_of(User.objects.all(), Ordering("first_name"), limit=2, cursor=page.next)


def test_a_row_that_is_added_does_not_shift_the_next_page() -> None:
    first = page_of(User.objects.all(), Ordering("first_name"), limit=3)
    User.objects.create(username="new", first_name="a")
    second = page_of(User.objects.all(), Ordering("first_name"), limit=50, cursor=first.next)
    assert not {row.pk for row in first.items} & {row.pk for row in second.items}


def test_an_empty_list() -> None:
    page = page_of(User.objects.none(), Ordering(), limit=5)
    assert (page.items, page.next) == ([], None)


PARTS = [
    (Q(first_name="b"), Ordering("date_joined", name="those with a b")),
    (Q(first_name="nobody"), Ordering("username")),
    (~Q(first_name="b"), Ordering("pk", descending=True)),
]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_a_list_of_parts_is_one_list(limit: int) -> None:
    parts = [(User.objects.filter(condition), ordering) for condition, ordering in PARTS]
    met: list[User] = []
    cursor: str | None = None
    while True:
        page = page_of_parts(parts, limit=limit, cursor=cursor)
        assert 1 <= len(page.items) <= limit
        met += page.items
        cursor = page.next
        if cursor is None:
            break
    assert met == [row for rows, ordering in parts for row in rows.order_by(*ordering.signed)]


def test_a_part_is_not_asked_before_the_page_reaches_it(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    parts = [(User.objects.filter(condition), ordering) for condition, ordering in PARTS]
    with django_assert_num_queries(1):
        first = page_of_parts(parts, limit=1)
    with django_assert_num_queries(3):
        page_of_parts(parts, limit=3, cursor=first.next)


def test_the_cursor_of_an_ordering_by_the_same_field_with_another_name_is_refused() -> None:
    first = page_of(User.objects.all(), Ordering(name="one"), limit=1)
    with pytest.raises(Refused, match="does not belong to this list"):
        page_of(User.objects.all(), Ordering(name="another"), limit=1, cursor=first.next)


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%%%",
        "é",
        _encoded("text"),
        _encoded([]),
        _encoded(["pk", False, None, None]),
        _encoded(["pk", False, "a", "b"]),
        _encoded(["pk", False, [1], {"a": 1}]),
        _encoded(["pk", True, 1, 1]),
        _encoded(["password", False, "a", 1]),
        _encoded(["pk", False, 1, "1" * 5000]),
    ],
)
def test_a_cursor_that_is_not_ours(cursor: str) -> None:
    with pytest.raises(Refused, match="does not belong to this list"):
        page_of(User.objects.all(), Ordering(), limit=5, cursor=cursor)


def test_limits() -> None:
    assert parse_limit(None) == 50
    assert parse_limit("", default=12) == 12
    assert parse_limit("200") == 200
    for wrong in ("0", "201", "-1", "many"):
        with pytest.raises(Refused):
            parse_limit(wrong)
