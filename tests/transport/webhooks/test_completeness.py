"""Since when the book is complete: servers that start, end, crash and freeze, and what proves that something is gone.

Times are milliseconds and given; 10,000 is a third of a lease. Kustom repeats for an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.book import Book, completeness, hints
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import DAY, entry_of, stamp
from kustom_mcp.book.hints import Hint
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import Forgotten, account_number, forget, forget_all, forget_before, put
from tests.book.writers import SANDBOX

T0 = 1_750_000_000_000
ORDER = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
HOUR = 3_600_000


class Told:
    """A feed of one account, in memory."""

    def __init__(self) -> None:
        self._database = SqliteBook(None)
        self.account = self.do(lambda tx: account_number(tx, SANDBOX))

    def do(self, work: Callable[[BookTransaction], Any]) -> Any:
        return self._database.write(work)

    def listen(self, name: str, at: int) -> None:
        self.do(lambda tx: completeness.listen(tx, self.account, name, T0 + at, HOUR))

    def leave(self, name: str, at: int) -> None:
        self.do(lambda tx: completeness.leave(tx, self.account, name, T0 + at))

    def created(self, name: str, at: int) -> None:
        self.do(lambda tx: completeness.begin(tx, self.account, name, T0 + at, HOUR))

    def since(self, name: str | None, at: int) -> int | None:
        found = self.do(lambda tx: completeness.complete_since(tx, self.account, name, T0 + at))
        return None if found is None else found - T0

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.close()


def test_completeness_begins_with_the_first_new_order_that_is_heard(told: Told) -> None:
    told.listen("one", 0)
    assert told.since("one", 1) is None
    told.created("one", 500)
    told.created("one", 900)
    assert (told.since("one", 1000), told.since(None, 1000)) == (500, 500)


def test_for_others_it_ends_with_the_lease_of_the_last_who_listens(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    assert told.since(None, 30_000) == 500
    assert told.since(None, 30_501) is None


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "crashed"])
@pytest.mark.parametrize(("silence", "kept"), [(100, True), (HOUR - 1, True), (HOUR, True), (HOUR + 1, False)])
def test_a_silence_that_is_shorter_than_kustoms_repeats_ends_nothing(
    told: Told, orderly: bool, silence: int, kept: bool
) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    if orderly:
        told.leave("one", 500)
        assert told.since(None, 501) is None, "nobody listens"
    told.listen("new", 500 + silence)
    assert told.since("new", 501 + silence) == (500 if kept else None)
    told.created("new", 600 + silence)
    assert told.since(None, 601 + silence) == (500 if kept else 600 + silence)


def test_several_short_silences_are_no_long_one(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    for number in range(1, 5):
        told.listen(f"new {number}", number * HOUR - 1)
    assert told.since("new 4", 4 * HOUR) == 500


def test_a_replica_that_starts_beside_others_joins_them(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.listen("two", 5_000)
    assert (told.since("one", 5_001), told.since("two", 5_001)) == (500, 500)
    told.leave("one", 11_000)
    assert (told.since("one", 11_001), told.since("two", 11_001)) == (None, 500)


def test_one_that_was_frozen_for_longer_than_its_lease_claims_nothing_until_it_renews(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    assert told.since("one", 31_000) is None
    told.listen("one", 31_000)
    assert told.since("one", 31_001) == 500


def test_while_an_announced_order_is_not_in_the_book_nothing_is_claimed(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.do(lambda tx: hints.add(tx, told.account, [Hint(ORDER, "webhook", verified=True)], T0 + 600))
    assert told.since("one", 601) is None
    (claimed, _) = told.do(lambda tx: hints.claim(tx, told.account, T0 + 700))
    entries = [entry_of(order(), "webhook", (T0 + 700) / 1000)]
    told.do(lambda tx: hints.followed(tx, told.account, claimed, [e for e in entries if e], T0 + 710))
    assert told.since("one", 711) == 500
    told.do(lambda tx: hints.add(tx, told.account, [Hint(ORDER, "webhook", verified=True)], T0 + 800))
    assert told.since("one", 801) == 500, "the order is known, and will be read again"
    (claimed, _) = told.do(lambda tx: hints.claim(tx, told.account, T0 + 70_000))
    told.listen("one", 20_000)
    told.do(lambda tx: hints.unread(tx, told.account, claimed, T0 + 20_100))
    assert told.since("one", 20_101) is None, "it could not be read"


def test_hints_that_nobody_signed_and_orders_that_are_not_ours_are_no_gap(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.do(lambda tx: hints.add(tx, told.account, [Hint(ORDER, "push")], T0 + 600))
    assert told.since("one", 601) == 500
    told.do(lambda tx: hints.add(tx, told.account, [Hint(ORDER, "webhook", verified=True)], T0 + 700))
    assert told.since("one", 701) is None
    (claimed, _) = told.do(lambda tx: hints.claim(tx, told.account, T0 + 800))
    told.do(lambda tx: hints.absent(tx, told.account, claimed, T0 + 810))
    assert told.since("one", 811) == 500


def test_an_order_that_turns_up_by_itself_and_should_have_been_announced_is_a_gap(told: Told) -> None:
    def met(source: str, created: int, read: int) -> None:
        entry = entry_of(order(created), source, (T0 + read) / 1000)
        assert entry is not None
        told.do(lambda tx: put(tx, told.account, [entry]))

    for source, created, read, gap in (
        ("import", -1_000, 9_000_000, False),  # from before
        ("call", 9_000_000, 9_001_000, False),  # too new to tell
        ("webhook", 1_000, 9_000_000, False),
        ("import", 1_000, 9_000_000, True),
    ):
        told.do(lambda tx: tx.rows("DELETE FROM book"))
        told.listen("one", read)
        told.created("one", read)
        told.do(lambda tx: tx.rows("UPDATE book_feeds SET since = :since", {"since": T0}))
        told.do(lambda tx: tx.rows("UPDATE book_silences SET resumed = 0, awaited = 0"))
        met(source, created, read)
        assert (told.since("one", read) is None) is gap, (source, created)


@pytest.mark.parametrize(
    ("created", "read", "gap"),
    [
        (20_000, HOUR + 30_000, False),  # announced in the silence, and to be announced again
        (20_000, HOUR + 100_001, True),
        (100_001, HOUR + 100_001, False),
        (100_001, HOUR + 100_002, True),  # from after the silence
    ],
)
def test_an_order_from_a_silence_may_be_announced_for_as_long_as_kustom_repeats(
    created: int, read: int, gap: bool, told: Told
) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.listen("one", 100_000)
    entry = entry_of(order(created), "call", (T0 + read) / 1000)
    assert entry is not None
    for at in range(125_000, read, 25_000):
        told.listen("one", at)
    told.listen("one", read)
    told.do(lambda tx: put(tx, told.account, [entry]))
    assert told.since("one", read) == (None if gap else 500)


@pytest.mark.parametrize(
    ("created", "gone"),
    [(400, False), (500, True), (None, True)],
    ids=["from before", "since", "nobody knows when"],
)
def test_what_is_forgotten_is_a_gap_unless_it_is_from_before(created: int | None, gone: bool, told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    entry = entry_of(order(created), "webhook", (T0 + 600) / 1000)
    assert entry is not None
    told.do(lambda tx: put(tx, told.account, [entry]))
    assert told.do(lambda tx: forget(tx, told.account, [OTHER])) == Forgotten(0)
    assert told.since("one", 700) == 500
    assert told.do(lambda tx: forget(tx, told.account, [ORDER])) == Forgotten(1)
    assert told.since("one", 700) == (None if gone else 500)
    told.created("one", 900)
    assert told.since("one", 1_000) == (900 if gone else 500)


@pytest.mark.parametrize("what", ["the order", "everything"])
def test_a_hint_that_is_forgotten_before_it_was_read_is_a_gap_if_it_was_signed(what: str, told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.do(lambda tx: hints.add(tx, told.account, [Hint(OTHER, "push")], T0 + 600))
    assert told.do(lambda tx: forget(tx, told.account, [OTHER])) == Forgotten(0, 1)
    assert told.since("one", 700) == 500
    told.do(lambda tx: hints.add(tx, told.account, [Hint(ORDER, "webhook", verified=True)], T0 + 600))
    (claimed, _) = told.do(lambda tx: hints.claim(tx, told.account, T0 + 700))
    if what == "everything":
        assert told.do(lambda tx: forget_all(tx, told.account)) == Forgotten(0, 1)
    else:
        assert told.do(lambda tx: forget(tx, told.account, [ORDER])) == Forgotten(0, 1)
    assert told.since("one", 710) is None
    entry = entry_of(order(), "webhook", (T0 + 700) / 1000)
    assert entry is not None
    told.do(lambda tx: hints.followed(tx, told.account, claimed, [entry], T0 + 720))
    assert told.do(lambda tx: tx.rows("SELECT order_id FROM book")) == [], "it was being read, and stays forgotten"


def test_where_all_from_before_a_time_are_forgotten_it_begins_there(told: Told) -> None:
    told.listen("one", 0)
    told.created("one", 500)
    told.do(lambda tx: forget_before(tx, told.account, T0 + 300))
    assert told.since("one", 700) == 500
    told.do(lambda tx: forget_before(tx, told.account, T0 + 600))
    assert told.since("one", 700) == 600
    told.leave("one", 800)
    told.listen("two", 900)
    told.do(lambda tx: forget_before(tx, told.account, T0 + 850))
    assert told.since("two", 900) == 850


async def test_completeness_is_never_earlier_than_what_is_kept() -> None:
    now = T0 + 10 * DAY
    database = SqliteBook(None)
    book = Book(database, SANDBOX, 30, lambda: now / 1000)
    book.listening = "one"

    def begin(tx: BookTransaction, account: int) -> None:
        completeness.begin(tx, account, "one", T0, HOUR)
        completeness.listen(tx, account, "one", now, HOUR)
        tx.rows("UPDATE book_feeds SET since = :since", {"since": T0})

    await book.change(begin)
    assert await book.ask(book.complete_since) == T0
    book = Book(database, SANDBOX, 3, lambda: now / 1000)
    book.listening = "one"
    assert await book.ask(book.complete_since) == now - 3 * DAY
    database.close()


def order(created: int | None = None) -> Order:
    at = None if created is None else T0 + created
    return Order.model_validate(
        {"order_id": ORDER, "status": "AUTHORIZED", "remaining_authorized_amount": 1, "created_at": at and stamp(at)}
    )


def test_completeness_begins_earlier_with_a_complete_export_and_ends_with_an_order_that_it_lacked(told: Told) -> None:
    def earlier(moment: int, before: int) -> bool:
        return told.do(lambda tx: completeness.begin_earlier(tx, told.account, T0 + moment, T0 + before))

    told.created("one", 0)
    assert not earlier(-DAY, -1), "it has changed meanwhile"
    assert earlier(-DAY, 0)
    assert told.since("one", 1) == -DAY
    for number, created in ((1, -DAY - 1), (2, -DAY)):
        told.listen("one", HOUR - 1)
        assert told.since("one", HOUR) == -DAY
        order = Order.model_validate(
            {"order_id": f"{ORDER[:-1]}{number}", "status": "CAPTURED", "created_at": stamp(T0 + created)}
        )
        entry = entry_of(order, "call", T0 / 1000 + 7200)
        assert entry is not None
        told.do(lambda tx, entry=entry: put(tx, told.account, [entry]))
    assert told.since("one", HOUR) is None
    assert not earlier(-DAY, -DAY)
