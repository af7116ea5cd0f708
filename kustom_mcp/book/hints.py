"""Hints: order ids named from outside, kept until the order has been read.

They are in the book's store before the sender gets its answer, so that a server that crashes loses none, and any
replica can follow them; a machine that loses its power may lose the last ones of an SQLite file, and `completeness`
ends with it. One order is one hint, however often it is named. All who share the store together read one order every
READ_EVERY milliseconds, verified hints first; an order that was just read is not read again before AGAIN, or SOON where
a signed webhook says that something happened.

`state`: 0 was followed, and is kept until it may be read again; 1 waits; 2 waits although Kustom had no such order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kustom_mcp.book import completeness
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry
from kustom_mcp.book.writing import put

READ_EVERY = 200
AGAIN = 60_000
SOON = 5_000
CLAIM = 60_000
"""Milliseconds for which a claimed hint is not given to another reader."""
MOST = {True: 10_000, False: 1_000}
"""Hints that wait, verified or not: a flood of forged ones takes no room from the others."""
TRIES = 60
"""With the longest pause between them these take about two days."""
_LONGEST_PAUSE = 3_600_000
_FIRST_PAUSE = 5_000
_WHICH = "account = :account AND order_id = :order_id"


_DISPUTED = (
    "SELECT 1 FROM book JOIN book_kinds ON book_kinds.kind = book.kind "
    "WHERE account = :account AND order_id = :order_id AND book_kinds.disputed = 1"
)


class Hint(NamedTuple):
    """An order named from outside. `verified`: by a webhook whose signature was good. `source`: webhook or push."""

    order_id: str
    source: str
    verified: bool = False
    disputed: bool = False


class ClaimedHint(NamedTuple):
    """A hint that is being followed. `news`: changes when it is hinted again meanwhile."""

    hint: Hint
    tries: int
    news: int


def add(tx: BookTransaction, account: int, given: Iterable[Hint], now: int) -> set[Hint]:
    """Keep hints, and return those for which there is no room."""
    counts = tx.rows(
        "SELECT verified, count(*) FROM book_hints WHERE account = :account AND state > 0 GROUP BY verified",
        {"account": account},
    )
    there_are = {bool(verified): int(count) for verified, count in counts}
    refused: set[Hint] = set()
    for hint in given:
        which = {"account": account, "order_id": hint.order_id}
        there = tx.rows(f"SELECT state, verified FROM book_hints WHERE {_WHICH}", which)
        counted = bool(there) and there[0][0] > 0 and bool(there[0][1]) >= hint.verified
        if not counted and there_are.get(hint.verified, 0) >= MOST[hint.verified]:
            refused.add(hint)
            continue
        if not counted:
            there_are[hint.verified] = there_are.get(hint.verified, 0) + 1
        tx.rows(_ADD, which | hint._asdict() | _as_numbers(hint) | {"now": now, "soon": now + SOON})
    return refused


_KEPT = "book_hints.state > 0 AND book_hints"
_ADD = (
    "INSERT INTO book_hints VALUES (:account, :order_id, :source, :verified, :disputed, 1, :now, 0, 0) "
    "ON CONFLICT (account, order_id) DO UPDATE SET state = 1, news = book_hints.news + 1, "
    f"source = CASE WHEN {_KEPT}.verified > excluded.verified THEN book_hints.source ELSE excluded.source END, "
    f"disputed = CASE WHEN {_KEPT}.disputed = 1 THEN 1 ELSE excluded.disputed END, "
    # One that is new and signed need not wait for as long as one that failed again and again.
    "due = CASE WHEN excluded.verified = 1 AND book_hints.due > :soon THEN :soon ELSE book_hints.due END, "
    "tries = CASE WHEN book_hints.state > 0 THEN book_hints.tries ELSE 0 END, "
    f"verified = CASE WHEN {_KEPT}.verified = 1 THEN 1 ELSE excluded.verified END"
)


def claim(tx: BookTransaction, account: int, now: int) -> tuple[ClaimedHint | None, int]:
    """Claim the next hint to follow, if one is due; else return milliseconds until one may be."""
    mine = {"account": account, "now": now}
    tx.rows("DELETE FROM book_hints WHERE account = :account AND state = 0 AND due <= :now", mine)
    next_read = tx.rows("SELECT next_read FROM book_feeds WHERE account = :account", mine)
    if next_read and now < next_read[0][0] <= now + READ_EVERY:
        return None, int(next_read[0][0]) - now
    found = tx.rows(
        "SELECT order_id, source, verified, disputed, tries, news FROM book_hints "
        "WHERE account = :account AND state > 0 AND due <= :now ORDER BY verified DESC, due, order_id LIMIT 1",
        mine,
    )
    if not found:
        first = tx.rows("SELECT min(due) FROM book_hints WHERE account = :account AND state > 0", mine)[0][0]
        return None, int(first) - now if first else _LONGEST_PAUSE
    order_id, source, verified, disputed, tries, news = found[0]
    claimed = ClaimedHint(Hint(order_id, source, bool(verified), bool(disputed)), tries, news)
    _set(tx, account, claimed, "due = :due", due=now + CLAIM)
    tx.rows(
        "INSERT INTO book_feeds VALUES (:account, 0, :next) "
        "ON CONFLICT (account) DO UPDATE SET next_read = excluded.next_read",
        {"account": account, "next": now + READ_EVERY},
    )
    return claimed, 0


def waiting(tx: BookTransaction, account: int) -> list[ClaimedHint]:
    """Return all hints that wait, due or not, unclaimed, for a command that follows them beside the servers."""
    found = tx.rows(
        "SELECT order_id, source, verified, disputed, tries, news FROM book_hints "
        "WHERE account = :account AND state > 0 ORDER BY verified DESC, due, order_id",
        {"account": account},
    )
    return [
        ClaimedHint(Hint(order_id, source, bool(verified), bool(disputed)), tries, news)
        for order_id, source, verified, disputed, tries, news in found
    ]


def disputed(tx: BookTransaction, account: int, order_id: str) -> bool:
    """Return whether a signed webhook told of a dispute on this order, whether it has been followed or waits."""
    which = {"account": account, "order_id": order_id}
    waits = f"SELECT 1 FROM book_hints WHERE {_WHICH} AND verified = 1 AND disputed = 1"
    return bool(tx.rows(waits, which) or tx.rows(_DISPUTED, which))


def followed(tx: BookTransaction, account: int, claimed: ClaimedHint, entries: list[BookEntry], now: int) -> None:
    """Put in the order that was read: at most one entry, none where it is not kept. If it was forgotten while it was
    read, it stays so."""
    which = {"account": account, "order_id": claimed.hint.order_id}
    if not tx.rows(f"SELECT 1 FROM book_hints WHERE {_WHICH}", which):
        return
    put(tx, account, entries)
    _done(tx, account, claimed, now)
    if entries and claimed.hint.disputed and not tx.rows(_DISPUTED, {"account": account, "order_id": entries[0][0]}):
        # What the book knows is newer than this reading, which was left out; so the next one has to say it.
        _set(tx, account, claimed, "state = 1, due = :due", due=now + SOON)


def absent(tx: BookTransaction, account: int, claimed: ClaimedHint, now: int) -> None:
    """Note that Kustom has no such order for us. One that was announced well is looked for once more."""
    if claimed.hint.verified and not claimed.tries:
        _set(tx, account, claimed, "state = 2, tries = 1, due = :due", due=now + AGAIN)
    else:
        _done(tx, account, claimed, now)


def unread(tx: BookTransaction, account: int, claimed: ClaimedHint, now: int) -> None:
    """Note that the order could not be read now."""
    tries = claimed.tries + 1
    if tries < TRIES:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE << min(tries, 20))
        _set(tx, account, claimed, "tries = :tries, due = :due", tries=tries, due=now + pause)
        return
    if claimed.hint.verified:
        completeness.interrupt(tx, account)
    _done(tx, account, claimed, now)


def _done(tx: BookTransaction, account: int, claimed: ClaimedHint, now: int) -> None:
    """Remove a followed hint, unless it was hinted again meanwhile: then it is followed again, in a while."""
    _set(tx, account, claimed, "due = :due", due=now + AGAIN)
    _set(tx, account, claimed, "state = 0, tries = 0", " AND news = :news", news=claimed.news)


def _set(tx: BookTransaction, account: int, claimed: ClaimedHint, change: str, only: str = "", **values: int) -> None:
    which = {"account": account, "order_id": claimed.hint.order_id}
    tx.rows(f"UPDATE book_hints SET {change} WHERE {_WHICH}{only}", which | values)


def _as_numbers(hint: Hint) -> dict[str, int]:
    return {"verified": int(hint.verified), "disputed": int(hint.disputed)}
