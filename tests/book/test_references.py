"""Finding an order: by references however they were typed, ids in their disguises; and times at their edges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kustom_mcp.book.entry import entry_of, stamp
from kustom_mcp.book.writing import put
from tests.book.books import Books, both, number_of
from tests.book.writers import order

NOON = 1_772_452_800_000
TIME = "2026-03-02T12:00:00Z"
LATER = "2026-03-02T12:00:00.001Z"


@pytest.fixture
def books() -> Books:
    return Books()


DISGUISES: dict[str, Callable[[str], str]] = {
    "spaces around it": lambda one: f" {one}\u00a0",
    "in capitals": str.upper,
    "in full width": lambda one: "".join(chr(ord(mark) + 0xFEE0) for mark in one),
    "cut short with an ellipsis": lambda one: f"{one[:8]}…",
    "cut short with three points": lambda one: f"{one[:8]}...",
    "without hyphens": lambda one: one.replace("-", ""),
    "a start without hyphens": lambda one: one.replace("-", "")[:15],
    "its end after an ellipsis": lambda one: f"…{one[-7:]}",
    "a link that ends in it": lambda one: f"https://portal.kustom.co/orders/{one}",
    "a link with more after it": lambda one: f"https://portal.kustom.co/orders/list/{one}/?merchantId={one[:8]}#top",
    "within a sentence": lambda one: f"Order {one}, please",
}


@pytest.mark.parametrize("how", DISGUISES)
def test_an_id_is_found_in_its_disguises(how: str, books: Books) -> None:
    one, other = "8c6c24e4-1b2c-4d3e-8f40-0a1b2c3d4e5f", "8c6c24e5-1b2c-4d3e-8f40-0a1b2c3d4e60"
    for number, order_id in enumerate((one, other)):
        entry = entry_of(order(number).model_copy(update={"order_id": order_id}), "call", 1.0)
        assert entry is not None
        books.database.write(lambda tx, entry=entry: put(tx, books.account, [entry]))
    assert [entry.order_id for entry in books.page(reference=DISGUISES[how](one))] == [one]


def test_what_looks_like_an_id_may_be_a_reference_and_all_that_match_are_found(books: Books) -> None:
    books.add(1)
    one = order(1).order_id
    books.add(2, merchant_reference1=one.replace("-", ""))
    assert both(books, reference=one) == both(books, reference=one.replace("-", "")) == [1, 2]


def test_a_reference_is_found_however_it_was_typed(books: Books) -> None:
    books.add(1, merchant_reference1="CAFE\u0301-7")
    books.add(2, merchant_reference2="ＷＥＢ－３００１０")
    books.add(3, klarna_reference="\ufdfa" * 255)
    assert both(books, reference="café 7") == [1]
    assert both(books, reference="cafe 7") == []
    assert both(books, reference="web30010") == [2]
    assert both(books, reference="\ufdfa" * 255) == [3]
    lengths = books.database.read(lambda tx: tx.rows("SELECT max(length(name)) FROM book_references"))
    assert lengths == [(255,)]


def test_case_is_no_difference_in_any_alphabet_and_everything_else_is(books: Books) -> None:
    books.add(1, merchant_reference1="Åsa-Ö1")
    books.add(2, merchant_reference1="ÅSA Ö1")
    books.add(3, merchant_reference1="ß-1")
    books.add(4, merchant_reference1="SS-1")
    books.add(5, merchant_reference1="e\u0301-1")
    exact = {"Åsa-Ö1": 1, "åsa-ö1": 1, "ÅSA-Ö1": 1, " åSA-Ö1 ": 1, "åsa ö1": 2, "åsaö1": None}
    others = {"ß-1": [3], "ss-1": [4], "sS-1": [4], "\u00c9-1": [5]}
    for asked, numbers in others.items():
        assert books.exactly(reference=asked) == numbers, asked
    for asked, number in exact.items():
        assert both(books, reference=asked) == [1, 2]
        assert books.exactly(reference=asked) == ([number] if number else []), asked


def test_what_has_ended_is_found_by_the_time_until_when_it_had_to_be_captured(books: Books) -> None:
    books.add(1, status="EXPIRED", remaining_authorized_amount=0, expires_at=TIME)
    books.add(2, status="EXPIRED", remaining_authorized_amount=5, expires_at=LATER)
    books.add(3, status="AUTHORIZED", remaining_authorized_amount=5, expires_at=TIME)
    books.add(4, status="EXPIRED", remaining_authorized_amount=0)
    assert both(books, expires_before=NOON + 1) == [3]
    assert both(books, expires_before=NOON + 1, status="EXPIRED") == [1]
    assert both(books, expires_before=NOON + 2, status="EXPIRED") == [1, 2]
    assert both(books, expires_before=NOON + 2, status="EXPIRED", min_remaining=1) == [2]
    for by in ("created_at", "expires_at", "remaining_authorized_amount"):
        assert sorted(books.numbers(by, expires_before=NOON + 2, status="EXPIRED")) == [1, 2]


def test_a_time_that_cannot_be_written_is_none(books: Books) -> None:
    for number, moment in enumerate(("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z")):
        books.add(number, expires_at=moment)
    times = {number_of(entry.order_id): stamp(entry.expires_at) for entry in books.page()}
    assert times == {0: None, 1: "9999-12-31T23:59:59.999Z", 2: None}
