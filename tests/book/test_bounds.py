"""The edges of a search, each by itself: what is just inside and just outside, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.book.entry import DAY, BookEntry, entry_of
from kustom_mcp.book.postgres import together
from kustom_mcp.book.query import SortKey
from kustom_mcp.book.writing import forget, forget_all, put
from tests.book.books import Books, both, number_of
from tests.book.writers import order

NOON = 1_772_452_800_000
TIME = "2026-03-02T12:00:00Z"
LATER = "2026-03-02T12:00:00.001Z"


def refund(moment: str) -> dict[str, Any]:
    return {"refund_id": "r", "refunded_amount": 1, "refunded_at": moment}


@pytest.fixture
def books() -> Books:
    return Books()


def test_a_time_includes_where_it_begins_and_not_where_it_ends(books: Books) -> None:
    books.add(1, created_at=TIME, expires_at=TIME)
    books.add(2, created_at=LATER, expires_at=LATER)
    assert both(books, created_from=NOON) == [1, 2]
    assert both(books, created_from=NOON + 1) == [2]
    assert both(books, created_before=NOON + 1) == [1]
    assert both(books, created_before=NOON) == []
    assert both(books, created_from=NOON + DAY, created_before=NOON - DAY) == []
    assert both(books, expires_before=NOON + 1) == [1]
    assert both(books, expires_before=NOON) == []


def test_a_refund_counts_from_its_moment_and_the_last_one_counts(books: Books) -> None:
    books.add(1, refunds=[refund(TIME)])
    books.add(2, refunds=[refund(LATER), refund(TIME)])
    books.add(3)
    assert both(books, refunded_from=NOON) == [1, 2]
    assert both(books, refunded_from=NOON + 1) == [2]
    assert both(books, refunded_from=NOON + 2) == []
    assert both(books, refunded_from=0) == [1, 2]


def test_the_end_of_an_id_is_looked_for_where_nothing_is_called_or_begins_so(books: Books) -> None:
    books.add(34567891)
    books.add(34567892)
    books.add(7, merchant_reference1="8000-000034")
    assert both(books, reference="000-0000345") == []  # inside of it
    assert both(books, reference="0034567891", status="CLOSED") == []
    assert both(books, reference="8000-000034") == [7]
    assert both(books, reference="0-000034567892") == [34567892]
    assert both(books, reference="0-000") == []  # too short to tell
    assert both(books, reference="456789") == []  # a number of the shop


def test_what_has_no_time_is_in_no_period_and_does_not_expire(books: Books) -> None:
    books.add(1)
    assert both(books) == [1]
    assert both(books, created_before=NOON) == both(books, created_from=0) == both(books, expires_before=NOON) == []


def test_the_least_amount_left_is_included(books: Books) -> None:
    books.add(1, remaining_authorized_amount=100)
    books.add(2, remaining_authorized_amount=1)
    books.add(3, remaining_authorized_amount=0)
    amounts = (0, 1, 2, 100, 101)
    assert [both(books, min_remaining=least) for least in amounts] == [[1, 2, 3], [1, 2], [1], [1], []]


def test_an_id_is_known_by_four_characters_and_not_by_fewer(books: Books) -> None:
    books.add(1)
    one = order(1).order_id
    assert both(books, reference=one[:3]) == []
    for start in (one[:4], one[:20], one[:9], one):
        assert both(books, reference=start) == [1]
    assert both(books, reference="0001") == both(books, reference=one[:-1] + "0") == []


def test_what_can_be_captured_comes_first_and_of_the_rest_the_newest(books: Books) -> None:
    books.add(1, remaining_authorized_amount=50, expires_at="2026-05-01T00:00:00Z", created_at="2026-03-01T00:00:00Z")
    books.add(2, remaining_authorized_amount=90, expires_at="2026-06-01T00:00:00Z", created_at="2026-03-02T00:00:00Z")
    ended: dict[str, Any] = {"status": "EXPIRED", "expires_at": "2026-02-01T00:00:00Z"}
    books.add(3, remaining_authorized_amount=70, created_at="2026-01-03T00:00:00Z", **ended)
    books.add(4, remaining_authorized_amount=0, created_at="2026-01-04T00:00:00Z", **ended)
    books.add(5, remaining_authorized_amount=0, created_at="2026-01-02T00:00:00Z", **ended)
    orders: dict[SortKey, list[int]] = {
        "expires_at": [1, 2, 4, 3, 5],
        "remaining_authorized_amount": [2, 3, 1, 4, 5],
        "created_at": [2, 1, 4, 3, 5],
    }
    for by, expected in orders.items():
        for limit in range(1, 6):
            assert books.numbers(by, limit) == expected[:limit]
            walked: list[BookEntry] = []
            while part := books.page(by, limit, walked[-1] if walked else None):
                walked += part
            assert [number_of(entry.order_id) for entry in walked] == expected


@pytest.mark.parametrize("by", ["created_at", "expires_at"])
def test_where_the_last_order_shown_is_gone_its_equals_are_not_lost(by: SortKey, books: Books) -> None:
    for number in (1, 2, 3):
        books.add(number, created_at=TIME, expires_at=TIME)
    first = books.page(by, 2)[1]
    rest = books.numbers(by, 50, first)
    books.database.write(lambda tx: forget(tx, books.account, [first.order_id]))
    assert set(rest) < set(books.numbers(by, 50, first)) == {1, 2, 3} - {number_of(first.order_id)}


@pytest.mark.parametrize("by", ["created_at", "expires_at", "remaining_authorized_amount"])
def test_pages_show_nothing_twice_and_lose_nothing_that_did_not_move(by: SortKey, books: Books) -> None:
    """Between pages orders are added, changed, forgotten and read again: those that stayed are shown once."""

    def given(number: int) -> dict[str, Any]:
        day = f"2026-03-{1 + number % 4:02}T00:00:00Z"
        return {"created_at": day, "expires_at": day, "remaining_authorized_amount": number % 3 * 10}

    for number in range(24):
        books.add(number, **given(number))
    shown: list[BookEntry] = []
    turn = 0
    while part := books.page(by, 5, shown[-1] if shown else None):
        shown += part
        turn += 1
        books.add(100 + turn, **given(turn))
        books.add(turn, read_at=turn + 2.0, **given(turn), merchant_reference1=f"new {turn}")
        gone = [order(20 + turn).order_id] if number_of(shown[-1].order_id) != 20 + turn else []
        books.database.write(lambda tx, gone=gone: forget(tx, books.account, gone))
    numbers = [number_of(entry.order_id) for entry in shown]
    assert len(numbers) == len(set(numbers))
    assert set(range(20)) <= set(numbers)


def test_what_is_in_doubt_is_read_again_first_and_counts_as_stale(books: Books) -> None:
    books.add(1, status="CLOSED", remaining_authorized_amount=0)
    books.add(2, status="CLOSED", remaining_authorized_amount=0)
    books.add(3, read_at=2.0)
    assert (books.stale(9, 2_000), books.known(2_000).stale, books.known(2_000).oldest_read) == ([], 0, 1_000)
    books.doubt(1)
    assert (books.stale(9, 2_000), books.known(2_000).stale, books.known(2_000).oldest_read) == ([1], 1, 0)
    assert (books.stale(9, 2_001), books.stale(1, 2_001), books.known(2_001).stale) == ([1, 3], [1], 2)
    assert [books.doubtful(at) for at in (2_000, 2_001)] == [1, 2]
    assert books.doubtful(2_001, status="CLOSED") == books.doubtful(2_001, status="AUTHORIZED") == 1
    assert books.stale(9, 2_001, [order(3).order_id]) == [3]
    assert books.stale(9, 2_001, []) == []


def test_what_is_in_doubt_for_long_leaves_half_of_the_reads_to_open_orders_and_takes_turns(books: Books) -> None:
    for number in range(1, 7):
        books.add(number, status="CLOSED", remaining_authorized_amount=0)
    for number in (7, 8, 9):
        books.add(number, created_at=f"2026-03-0{number}T00:00:00Z")
    books.doubt(*range(1, 7))
    first = books.stale(4, 2_001)
    assert (set(first[:2]) <= set(range(1, 7)), first[2:]) == (True, [9, 8])
    books.doubt(*first[:2], since=3_000)
    second = books.stale(4, 2_001)
    assert set(first[:2]) & set(second) == set()
    assert len(books.stale(9, 2_001)) == 9
    assert sorted(books.stale(9, 1_000)) == [1, 2, 3, 4, 5, 6]


def test_how_an_order_became_known_and_a_dispute_stay(books: Books) -> None:
    books.add(1, "import", disputed=True)
    books.add(1, "call", read_at=2.0)
    (entry,) = books.page(ever_disputed=True)
    assert (entry.kind.source, entry.read_at) == ("import", 2_000)
    assert books.known(0).sources == {"import": 1}


def test_a_new_reference_replaces_the_old_one_and_what_is_forgotten_has_none(books: Books) -> None:
    books.add(1, merchant_reference1="A-1", merchant_reference2="B-1")
    books.add(2, merchant_reference1="A-1")
    books.add(1, read_at=2.0, merchant_reference1="C-1", merchant_reference2="B-1")
    assert [both(books, reference=name) for name in ("A-1", "B-1", "C-1")] == [[2], [1], [1]]
    books.database.write(lambda tx: forget(tx, books.account, [order(1).order_id]))
    books.add(3)
    assert [both(books, reference=name) for name in ("A-1", "B-1", "C-1")] == [[2], [], []]
    assert books.database.read(lambda tx: tx.rows("SELECT count(*) FROM book_references")) == [(1,)]


def test_what_is_forgotten_altogether_leaves_no_reference(books: Books) -> None:
    books.add(1, merchant_reference1="A-1")
    assert books.database.write(lambda tx: forget_all(tx, books.account)).orders == 1
    tables = ("book", "book_references", "book_sums")
    left = [books.database.read(lambda tx, of=of: tx.rows(f"SELECT count(*) FROM {of}")) for of in tables]
    assert left == [[(0,)]] * 3


def test_of_two_readings_put_in_together_the_later_one_counts(books: Books) -> None:
    later, earlier = entry_of(order(1, order_amount=200), "call", 2.0), entry_of(order(1), "call", 1.0)
    assert later is not None
    assert earlier is not None
    assert books.database.write(lambda tx: put(tx, books.account, [later, earlier])) == 1
    assert [entry.order_amount for entry in books.page()] == [200]


def test_orders_of_very_many_kinds_are_found_in_order(books: Books) -> None:
    """SQLite merges at most 500 selections at once."""
    entries = [entry_of(order(number, purchase_currency=f"X{number}"), "call", 1.0) for number in range(900)]
    books.database.write(lambda tx: put(tx, books.account, [entry for entry in entries if entry]))
    found = books.page(limit=900)
    assert [number_of(entry.order_id) for entry in found] == list(reversed(range(900)))
    assert books.counted() == 900
    assert len(books.page(limit=20, after=found[400])) == 20


def test_rows_that_go_together_are_every_row_in_its_places() -> None:
    """PostgreSQL takes a hundred rows in one statement; no row is lost at its borders."""
    given = [{"b": -number, "a": number, "more": None} for number in range(250)]
    pieces = list(together("(:a, :b)", given))
    assert [into.count("(%s, %s)") for _, into in pieces] == [100, 100, 50]
    assert [len(some) for some, _ in pieces] == [200, 200, 100]
    assert [number for some, _ in pieces for number in some] == [
        sign * number for number in range(250) for sign in (1, -1)
    ]
