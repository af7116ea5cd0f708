"""The time since when the book is complete: since when every new order was announced by a signed webhook and heard.

Kustom sends an event again for hours where it was not answered well (KUSTOM_HOOKS_RETRY), and missed ones cannot be
asked for. So completeness begins with the first verified `order.created` that is heard while nothing is known to be
missing. While no server listens nothing is claimed; a silence that was shorter than Kustom's repeats ends nothing,
since what was missed comes again. It ends

- when no server listened for longer than that. Every listening server renews a row with a lease;
- when an event had to be turned away although its signature was good, or could not be understood;
- when an event came to the secret path without a good signature: a secret that was changed at Kustom and not here turns
  every event away, unnoticed here. So a person who knows the secret path can end the claim with forged events; that is
  the lesser harm, and the next new order that is announced begins it anew;
- when a hinted order could not be read for two days (`hints`);
- when an order turns up by itself that is over an hour old and should have been announced; one from before the end of
  a silence may still be announced for as long as Kustom repeats;
- when an order is forgotten that was created since, or may have been, or one that was announced and not read yet.

It begins earlier where an export is imported that has every order from a date on (`begin_earlier`), as far as the book
can tell: an order that it knows from between that date and the webhooks, and that the export does not name, proves that
the export is not complete, or was made before the webhooks began.

It moves on where all orders from before a time are forgotten, and is never earlier than the oldest order that is kept.
Nor is anything claimed while a verified hint waits whose order is not in the book yet, or could not be read, nor by a
server that knows of a gap which it could not write down yet. A feed that was switched off at Kustom cannot be seen
here, until an order turns up that it should have announced.

Times are unix milliseconds by the clock of the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry

LEASE = 30_000
"""Milliseconds for which a server that does not renew counts as listening."""
RENEW_EVERY = 10.0  # seconds
ANNOUNCED_WITHIN = 3_600_000
"""An order that is older than this and new to the book should have been announced."""

WEBHOOK = "webhook"


def complete_since(
    tx: BookTransaction, account: int, listener: str | None, now: int, *, missed: int = 0, oldest: int = 0
) -> int | None:
    """Return the time; None when it is unknown. `listener`: the name under which this process listens itself;
    `missed`: when it last missed something. `oldest`: the oldest creation that is kept."""
    mine = {"account": account}
    since = _since(tx, account)
    live = _live(tx, account, now)
    listens = listener in live if listener else bool(live)
    if not since or not listens or since <= missed:
        return None
    waiting = (
        "SELECT 1 FROM book_hints WHERE account = :account AND state = 1 AND verified = 1 AND (tries > 0 OR NOT EXISTS "
        "(SELECT 1 FROM book WHERE book.account = :account AND book.order_id = book_hints.order_id)) LIMIT 1"
    )
    return None if tx.rows(waiting, mine) else max(since, oldest)


def has_listener(tx: BookTransaction, account: int, now: int) -> bool:
    """Return whether any server listens now to signed webhooks; nothing else tells of disputes."""
    return bool(_live(tx, account, now))


def listen(tx: BookTransaction, account: int, name: str, now: int, retry: int) -> None:
    """Note that a server listens, for the length of a lease from now. `retry`: milliseconds for which Kustom sends
    again what was not answered."""
    live = _live(tx, account, now)
    mine = {"account": account, "name": name, "now": now}
    tx.rows("DELETE FROM book_listeners WHERE account = :account AND until <= :now", mine)
    tx.rows(
        "INSERT INTO book_listeners VALUES (:account, :name, :until) "
        "ON CONFLICT (account, name) DO UPDATE SET until = excluded.until",
        mine | {"until": now + LEASE},
    )
    before = _silence(tx, account)
    if not live and now - before.heard > retry:
        interrupt(tx, account)
    _keep(tx, account, before._replace(heard=now) if name in live else _Silence(now, now, now + retry))


def leave(tx: BookTransaction, account: int, name: str, now: int) -> None:
    """Note that a server listens no more, but did until now."""
    mine = {"account": account, "name": name}
    if name in _live(tx, account, now):
        _keep(tx, account, _silence(tx, account)._replace(heard=now))
    tx.rows("DELETE FROM book_listeners WHERE account = :account AND name = :name", mine)


def begin(tx: BookTransaction, account: int, name: str, now: int, retry: int) -> None:
    """Begin completeness with a verified `order.created`, unless it is claimed already."""
    listen(tx, account, name, now, retry)
    if not _since(tx, account):
        tx.rows(
            "INSERT INTO book_feeds VALUES (:account, :since, 0) "
            "ON CONFLICT (account) DO UPDATE SET since = excluded.since",
            {"account": account, "since": now},
        )


def begun(tx: BookTransaction, account: int) -> int:
    """Return the time since when webhooks have told of every new order, whoever listens now; 0 when it is unknown."""
    return _since(tx, account)


def created_between(tx: BookTransaction, account: int, first: int, end: int) -> set[str]:
    """Return the ids of the orders that are known and were created between these times, the second not included."""
    period = {"account": account, "first": first, "end": end}
    rows = tx.rows(
        "SELECT order_id FROM book WHERE account = :account AND created_at >= :first AND created_at < :end", period
    )
    return {str(order_id) for (order_id,) in rows}


def begin_earlier(tx: BookTransaction, account: int, moment: int, before: int) -> bool:
    """Begin completeness at this time in place of `before`. Return False where it has been interrupted meanwhile."""
    if _since(tx, account) != before:
        return False
    which = {"account": account, "moment": moment}
    tx.rows("UPDATE book_feeds SET since = :moment WHERE account = :account", which)
    return True


def interrupt(tx: BookTransaction, account: int) -> None:
    """End completeness: something may be missing."""
    tx.rows("UPDATE book_feeds SET since = 0 WHERE account = :account", {"account": account})


def forgotten(tx: BookTransaction, account: int, created: Iterable[int]) -> None:
    """Note that orders were removed, created at these times, 0 where that is not known."""
    since = _since(tx, account)
    if since and any(moment >= since or not moment for moment in created):
        interrupt(tx, account)


def forgotten_before(tx: BookTransaction, account: int, moment: int) -> None:
    """Note that every order created before this time was removed."""
    mine = {"account": account, "moment": moment}
    tx.rows("UPDATE book_feeds SET since = :moment WHERE account = :account AND since BETWEEN 1 AND :moment", mine)


def unannounced(tx: BookTransaction, account: int, new: Iterable[BookEntry]) -> None:
    """Check orders that became known otherwise. One that should have been announced proves a gap."""
    since, silence = _since(tx, account), _silence(tx, account)
    for entry in new if since else ():
        due = silence.awaited if entry.created_at <= silence.resumed else 0
        old = abs(entry.read_at) > max(due, entry.created_at + ANNOUNCED_WITHIN)
        if entry.kind.source != WEBHOOK and old and entry.created_at >= since:
            hint = {"account": account, "order_id": entry.order_id}
            announced = "account = :account AND order_id = :order_id AND source <> 'settlement'"
            if not tx.rows(f"SELECT 1 FROM book_hints WHERE {announced}", hint):
                interrupt(tx, account)
                return


def _since(tx: BookTransaction, account: int) -> int:
    found = tx.rows("SELECT since FROM book_feeds WHERE account = :account", {"account": account})
    return int(found[0][0]) if found else 0


class _Silence(NamedTuple):
    """The last silence of the servers of one account: when one listened last, when one began to listen after it, and
    until when Kustom may repeat what was missed in it."""

    heard: int = 0
    resumed: int = 0
    awaited: int = 0


def _silence(tx: BookTransaction, account: int) -> _Silence:
    found = tx.rows("SELECT heard, resumed, awaited FROM book_silences WHERE account = :account", {"account": account})
    return _Silence(*map(int, found[0])) if found else _Silence()


def _keep(tx: BookTransaction, account: int, silence: _Silence) -> None:
    tx.rows(
        "INSERT INTO book_silences VALUES (:account, :heard, :resumed, :awaited) ON CONFLICT (account) DO UPDATE SET "
        "heard = excluded.heard, resumed = excluded.resumed, awaited = excluded.awaited",
        {"account": account, **silence._asdict()},
    )


def _live(tx: BookTransaction, account: int, now: int) -> set[str]:
    """Return the names of those who listen."""
    rows = tx.rows(
        "SELECT name FROM book_listeners WHERE account = :account AND until > :now", {"account": account, "now": now}
    )
    return {str(name) for (name,) in rows}
