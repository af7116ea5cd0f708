"""Hints in the store: one order is one hint, at one pace, and a flood of forged ones takes nothing from the others.

Times are milliseconds and given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.book import hints
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry, entry_of
from kustom_mcp.book.hints import AGAIN, CLAIM, MOST, READ_EVERY, SOON, TRIES, ClaimedHint, Hint
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, forget_all, put
from tests.book.writers import SANDBOX

T0 = 1_750_000_000_000


class Kept:
    """The hints of one account, in memory, and the time."""

    def __init__(self) -> None:
        self._database = SqliteBook(None)
        self.account = self.do(lambda tx: account_number(tx, SANDBOX))
        self.now = T0

    def do(self, work: Callable[[BookTransaction], Any]) -> Any:
        return self._database.write(work)

    def add(self, *given: Hint) -> set[Hint]:
        return self.do(lambda tx: hints.add(tx, self.account, given, self.now))

    def claim(self) -> tuple[ClaimedHint | None, int]:
        return self.do(lambda tx: hints.claim(tx, self.account, self.now))

    def waiting(self) -> list[tuple[str, str]]:
        """Each order with how it became known."""
        found: list[ClaimedHint] = self.do(lambda tx: hints.waiting(tx, self.account))
        return [(claimed.hint.order_id, claimed.hint.source) for claimed in found]

    def next(self) -> ClaimedHint:
        """The next hint, whenever that is."""
        for _ in range(10):
            claimed, wait = self.claim()
            if claimed is not None:
                return claimed
            self.now += wait
        raise AssertionError("nothing waits")

    def end(self, what: Any, claimed: ClaimedHint) -> None:
        self.do(lambda tx: what(tx, self.account, claimed, self.now))

    def close(self) -> None:
        self._database.close()


def followed(tx: BookTransaction, account: int, claimed: ClaimedHint, now: int) -> None:
    """The order was read, and is not to be kept."""
    hints.followed(tx, account, claimed, [], now)


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    made.close()


def number(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def signed(of: int, *, disputed: bool = False) -> Hint:
    return Hint(number(of), "webhook", verified=True, disputed=disputed)


def forged(of: int) -> Hint:
    return Hint(number(of), "push")


def test_however_often_an_order_is_named_it_is_read_once_and_later_once_more(kept: Kept) -> None:
    for _ in range(100):
        kept.add(forged(1), forged(1))
    kept.end(followed, kept.next())
    read = kept.now
    for _ in range(100):
        kept.add(forged(1))
    again = kept.next()
    assert kept.now - read == AGAIN
    kept.end(followed, again)
    kept.now += AGAIN
    assert kept.claim() == (None, 3_600_000)
    assert kept.do(lambda tx: tx.rows("SELECT count(*) FROM book_hints")) == [(0,)]


def test_something_new_that_is_signed_is_read_soon(kept: Kept) -> None:
    kept.add(signed(1))
    kept.end(followed, kept.next())
    read = kept.now
    kept.add(signed(1))
    kept.next()
    assert kept.now - read == SOON


def test_what_is_said_while_the_order_is_read_is_read_again(kept: Kept) -> None:
    kept.add(signed(1))
    claimed = kept.next()
    kept.add(signed(1, disputed=True))
    kept.end(followed, claimed)
    assert kept.next().hint == signed(1, disputed=True)


def test_a_dispute_is_not_lost_where_the_book_knows_the_order_from_later_than_it_was_read(kept: Kept) -> None:
    known, read = [made] if (made := order(T0 + 9_000)) else [], [made] if (made := order(T0)) else []
    kept.do(lambda tx: put(tx, kept.account, known))
    kept.add(signed(1, disputed=True))
    for entries, at in ((read, 0), ([entry._replace(read_at=T0 + 20_000) for entry in read], SOON)):
        claimed = kept.next()
        assert (kept.now - T0, claimed.hint.disputed) == (at, True)
        kept.do(
            lambda tx, claimed=claimed, entries=entries: hints.followed(tx, kept.account, claimed, entries, kept.now)
        )
    assert kept.do(lambda tx: tx.rows("SELECT disputed FROM book JOIN book_kinds USING (kind)")) == [(1,)]
    kept.now += AGAIN
    assert kept.claim()[0] is None


def order(read_at: int) -> BookEntry | None:
    made = {"order_id": number(1), "status": "AUTHORIZED", "remaining_authorized_amount": 1}
    return entry_of(Order.model_validate(made), "webhook", read_at / 1000, disputed=read_at == T0)


def test_signed_ones_come_first_and_all_at_one_pace(kept: Kept) -> None:
    kept.add(*[forged(of) for of in range(10)])
    kept.now += 1
    kept.add(*[signed(of) for of in range(10, 20)])
    began = kept.now
    order = [kept.next().hint for _ in range(20)]
    assert [hint.verified for hint in order] == [True] * 10 + [False] * 10
    assert kept.now - began == 19 * READ_EVERY


def test_a_hint_is_followed_by_one_reader_at_a_time_and_by_another_if_that_one_dies(kept: Kept) -> None:
    kept.add(signed(1))
    kept.next()
    began = kept.now
    kept.next()
    assert kept.now - began == CLAIM


def test_what_waits_is_listed_until_it_was_followed(kept: Kept) -> None:
    kept.add(forged(1), signed(2))
    assert kept.waiting() == [(number(2), "webhook"), (number(1), "push")]
    kept.end(followed, kept.next())
    assert kept.waiting() == [(number(1), "push")]


def test_forged_hints_leave_room_for_signed_ones(kept: Kept) -> None:
    assert len(kept.add(*[forged(of) for of in range(MOST[False] + 7)])) == 7
    assert kept.add(forged(0), signed(5000), signed(0)) == set()
    assert kept.next().hint.verified


def test_signed_ones_have_an_end_too(kept: Kept) -> None:
    kept.add(*[signed(of) for of in range(MOST[True])])
    assert kept.add(signed(0), signed(MOST[True])) == {signed(MOST[True])}


def test_a_push_makes_no_signed_hint_forged_and_borrows_nothing_of_an_old_one(kept: Kept) -> None:
    kept.add(signed(1, disputed=True))
    kept.add(forged(1))
    claimed = kept.next()
    assert claimed.hint == signed(1, disputed=True)
    kept.end(followed, claimed)
    kept.add(forged(1))
    assert kept.next().hint == forged(1)


def test_an_order_that_is_not_ours_is_looked_for_once_or_twice_where_it_was_announced(kept: Kept) -> None:
    for hint, reads in ((forged(1), 1), (signed(2), 2)):
        kept.add(hint)
        for _ in range(reads):
            kept.end(hints.absent, kept.next())
        kept.now += 10 * AGAIN
        assert kept.claim()[0] is None


def test_what_cannot_be_read_is_tried_ever_more_seldom_and_given_up_after_two_days(kept: Kept) -> None:
    kept.add(signed(1))
    kept.do(lambda tx: tx.rows("UPDATE book_feeds SET since = 1"))
    tried: list[int] = []
    for _ in range(TRIES):
        claimed = kept.next()
        tried.append(kept.now - T0)
        kept.end(hints.unread, claimed)
    assert tried[:3] == [0, 10_000, 30_000]
    assert 2 < tried[-1] / 86_400_000 < 3
    kept.now += AGAIN
    assert kept.claim()[0] is None
    assert kept.do(lambda tx: tx.rows("SELECT since FROM book_feeds")) == [(0,)]


def test_who_forgets_the_book_forgets_what_was_hinted(kept: Kept) -> None:
    kept.add(signed(1))
    kept.do(lambda tx: forget_all(tx, kept.account))
    assert kept.claim()[0] is None
