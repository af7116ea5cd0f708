"""The webhooks that were kept, by their ids, so that one that comes again is not followed again, whoever hears it.

Kustom repeats an event with the same `webhook-id` where it had no good answer, and so can whoever recorded one, for the
five minutes of its signature. An id is remembered for as long as Kustom repeats, and a while longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from kustom_mcp.book.database import BookTransaction

LEEWAY = 3_600_000
"""Milliseconds for which an id is remembered beyond the hours for which Kustom sends again."""


def digest(event: str) -> str:
    """Return what is kept of an id: of equal length, whatever the sender calls its events."""
    return sha256(event.encode()).hexdigest()[:32]


def known(tx: BookTransaction, account: int, events: Iterable[str]) -> set[str]:
    """Return those of the events (digests) that were kept before."""
    which = "SELECT 1 FROM book_events WHERE account = :account AND event = :event"
    return {event for event in events if tx.rows(which, {"account": account, "event": event})}


def remember(tx: BookTransaction, account: int, events: Iterable[str], now: int) -> None:
    """Note that these events (digests) were kept. `now` in unix milliseconds."""
    rows = [{"account": account, "event": event, "now": now} for event in events]
    tx.many("INSERT INTO book_events VALUES (:account, :event, :now) ON CONFLICT (account, event) DO NOTHING", rows)


def forget_before(tx: BookTransaction, account: int, moment: int) -> None:
    """Forget the events that were kept before this time."""
    tx.rows("DELETE FROM book_events WHERE account = :account AND at < :moment", {"account": account, "moment": moment})
