"""Give an account the books that version 0.1 kept under other names of it.

One old book becomes the account's by a new name. Several, or an old one beside a book that the account has begun
already, are merged: the newer reading of an order counts, the sums follow, and completeness begins anew, because one of
them may have missed an order that the other has heard of. A merge goes in small steps, and each leaves a whole book, so
that an interrupted one goes on at the next start, and several processes may do it at the same time.
"""

from __future__ import annotations

from collections.abc import Callable

from kustom_mcp.book import completeness, hints
from kustom_mcp.book.database import BookTransaction, Values
from kustom_mcp.book.entry import COLUMNS, BookEntry, Move
from kustom_mcp.book.writing import account_number, kinds, put, take_out
from kustom_mcp.state.account import Account

_AT_ONCE = 500
"""Orders in one step: they have to fit into the patience of a shared store."""
_PARTS = tuple(
    f"book_{name}" for name in ("imports", "hints", "feeds", "silences", "listeners", "events", "sums", "accounts")
)


def others(tx: BookTransaction, belongs: Callable[[str], bool]) -> list[int]:
    """Return the numbers of the accounts whose names fit."""
    return [int(number) for number, name in tx.rows("SELECT account, name FROM book_accounts") if belongs(name)]


def adopt(tx: BookTransaction, account: Account, now: int) -> bool:
    """Take one step, and return whether there may be another. `now` in unix milliseconds."""
    found = others(tx, account.was_named)
    if not found:
        return False
    old = min(found)
    if not others(tx, lambda name: name == account.name):
        tx.rows("UPDATE book_accounts SET name = :name WHERE account = :old", {"name": account.name, "old": old})
        return len(found) > 1
    new = account_number(tx, account.name)
    if not _move_orders(tx, old, new):
        _move_rest(tx, old, new, now)
    return True


def orders_of(tx: BookTransaction, belongs: Callable[[str], bool]) -> int:
    """Count the orders of the accounts whose names fit."""
    count = "SELECT coalesce(sum(orders), 0) FROM book_sums WHERE account = :account AND day = -1"
    return sum(int(tx.rows(count, {"account": number})[0][0]) for number in others(tx, belongs))


def _move_orders(tx: BookTransaction, old: int, new: int) -> int:
    entries = _entries(tx, f"account = :account LIMIT {_AT_ONCE}", {"account": old})
    if not entries:
        return 0
    take_out(tx, old, [entry.order_id for entry in entries])
    put(tx, new, entries)
    disputed = [entry.order_id for entry in entries if entry.kind.disputed]
    for order_id in disputed:  # a newer reading that knew nothing of it must not win over that
        found = _entries(tx, "account = :account AND order_id = :order_id", {"account": new, "order_id": order_id})
        put(tx, new, [entry._replace(kind=entry.kind._replace(disputed=True)) for entry in found])
    return len(entries)


def _entries(tx: BookTransaction, which: str, values: Values) -> list[BookEntry]:
    known = {number: kind for kind, number in kinds(tx).items()}
    found = tx.rows(f"SELECT number, kind, order_id, {', '.join(COLUMNS)} FROM book WHERE {which}", values)
    return [
        BookEntry(order_id, known[kind], *rest)._replace(moves=_moves(tx, number, rest[COLUMNS.index("order_amount")]))
        for number, kind, order_id, *rest in found
    ]


def _moves(tx: BookTransaction, number: int, whole: int) -> tuple[Move, ...]:
    """Return the captures and refunds of an order, of which `whole` is the amount."""
    found = tx.rows("SELECT refund, at, amount FROM book_moves WHERE number = :number", {"number": number})
    return tuple(Move(bool(refund), at, amount or whole) for refund, at, amount in found)


def _move_rest(tx: BookTransaction, old: int, new: int, now: int) -> None:
    which = {"old": old, "new": new}
    hints.add(tx, new, [claimed.hint for claimed in hints.waiting(tx, old)], now)
    tx.rows(
        "INSERT INTO book_imports SELECT :new, file, done, rejected, at FROM book_imports WHERE account = :old "
        "ON CONFLICT (account, file) DO NOTHING",
        which,
    )
    completeness.interrupt(tx, new)
    for table in _PARTS:
        tx.rows(f"DELETE FROM {table} WHERE account = :old", which)
