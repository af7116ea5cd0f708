"""The time since when the book is complete: since when every new order was announced by a signed webhook and heard.

Kustom tells of an order once, and again only to a server that did not answer well; missed ones cannot be asked for. So
completeness begins with the first verified `order.created` that is heard while nothing is known to be missing, and ends

- when no server listened for a moment. Every listening server renews a row with a lease. One that starts while others
  hold leases cannot know whether they still live: it counts only once one of them has renewed after it started, or
  begins anew once their leases have run out. A server that was frozen for longer than its lease starts like a new one;
- when an event had to be turned away although its signature was good, or could not be understood;
- when an event came to the secret path without a good signature: a secret that was changed at Kustom and not here turns
  every event away, unnoticed here. So a person who knows the secret path can end the claim with forged events; that is
  the lesser harm, and the next new order that is announced begins it anew;
- when a hinted order could not be read for two days (`hints`);
- when an order turns up by itself that is over an hour old and should have been announced;
- when an order is forgotten that was created since, or may have been, or one that was announced and not read yet.

It moves on where all orders from before a time are forgotten, and is never earlier than the oldest order that is kept.
Nor is anything claimed while a verified hint waits whose order is not in the book yet, or could not be read, nor by a
server that knows of a gap which it could not write down yet. A feed that was switched off at Kustom cannot be seen
here, until an order turns up that it should have announced.

Times are unix milliseconds by the clock of the store.
"""

from __future__ import annotations

from collections.abc import Iterable

from kustom_mcp.book.entry import BookEntry
from kustom_mcp.book.sqlite import BookTransaction

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
    live = {name: bool(proven) for name, proven in _live(tx, account, now).items()}
    sure = live.get(listener, False) if listener else any(live.values())
    if not since or not sure or since <= missed:
        return None
    waiting = (
        "SELECT 1 FROM book_hints WHERE account = :account AND state = 1 AND verified = 1 AND (tries > 0 OR NOT EXISTS "
        "(SELECT 1 FROM book WHERE book.account = :account AND book.order_id = book_hints.order_id)) LIMIT 1"
    )
    return None if tx.rows(waiting, mine) else max(since, oldest)


def has_listener(tx: BookTransaction, account: int, now: int) -> bool:
    """Return whether any server listens now to signed webhooks; nothing else tells of disputes."""
    return bool(_live(tx, account, now))


def listen(tx: BookTransaction, account: int, name: str, now: int) -> None:
    """Note that a server listens, for the length of a lease from now."""
    live = _live(tx, account, now)
    mine = {"account": account, "name": name}
    tx.rows("DELETE FROM book_listeners WHERE account = :account AND until <= :now", {"account": account, "now": now})
    others = {other: proven for other, proven in live.items() if other != name}
    proven = live.get(name)
    if proven:
        tx.rows("UPDATE book_listeners SET proven = 1 WHERE account = :account", {"account": account})
    elif not others or (proven is not None and not any(others.values())):  # whoever was there before is gone
        interrupt(tx, account)
        proven = 1
    tx.rows(
        "INSERT INTO book_listeners VALUES (:account, :name, :until, :proven) ON CONFLICT (account, name) "
        "DO UPDATE SET until = excluded.until, proven = excluded.proven",
        mine | {"until": now + LEASE, "proven": int(bool(proven))},
    )


def leave(tx: BookTransaction, account: int, name: str, now: int) -> None:
    """Note that a server listens no more, but did until now."""
    mine = {"account": account, "name": name}
    if _live(tx, account, now).get(name):
        tx.rows("UPDATE book_listeners SET proven = 1 WHERE account = :account", mine)
    tx.rows("DELETE FROM book_listeners WHERE account = :account AND name = :name", mine)


def begin(tx: BookTransaction, account: int, name: str, now: int) -> None:
    """Begin completeness with a verified `order.created`, unless it is claimed already."""
    listen(tx, account, name, now)
    if _since(tx, account):
        return
    mine = {"account": account, "name": name, "since": now}
    tx.rows(
        "INSERT INTO book_feeds VALUES (:account, :since, 0) "
        "ON CONFLICT (account) DO UPDATE SET since = excluded.since",
        mine,
    )
    tx.rows("UPDATE book_listeners SET proven = 1 WHERE account = :account AND name = :name", mine)


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
    since = _since(tx, account)
    for entry in new if since else ():
        old = abs(entry.read_at) - entry.created_at > ANNOUNCED_WITHIN
        if entry.kind.source != WEBHOOK and old and entry.created_at >= since:
            hint = {"account": account, "order_id": entry.order_id}
            announced = "account = :account AND order_id = :order_id AND source <> 'settlement'"
            if not tx.rows(f"SELECT 1 FROM book_hints WHERE {announced}", hint):
                interrupt(tx, account)
                return


def _since(tx: BookTransaction, account: int) -> int:
    found = tx.rows("SELECT since FROM book_feeds WHERE account = :account", {"account": account})
    return int(found[0][0]) if found else 0


def _live(tx: BookTransaction, account: int, now: int) -> dict[str, int]:
    """Return the listeners, and whether it is proven that each missed nothing until then."""
    rows = tx.rows(
        "SELECT name, proven FROM book_listeners WHERE account = :account AND until > :now",
        {"account": account, "now": now},
    )
    return {str(name): int(proven) for name, proven in rows}
