"""The state of the book for an operator: the numbers of orders of each kind, and the age of the readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.imports import UnfinishedImport, unfinished
from kustom_mcp.book.writing import kinds


@dataclass
class BookStatus:
    """Counts of orders; times in unix milliseconds, 0 where there are none."""

    orders: int = 0
    open: int = 0
    stale: int = 0
    """Orders that are in doubt, and open ones that were read before the time that was asked for."""
    in_doubt: int = 0
    """Orders that may have changed since they were read."""
    oldest_read: int = 0
    newest_read: int = 0
    by_status: Counter[str] = field(default_factory=Counter[str])
    by_currency: Counter[str] = field(default_factory=Counter[str])
    by_source: Counter[str] = field(default_factory=Counter[str])
    imports: list[UnfinishedImport] = field(default_factory=list[UnfinishedImport])


def book_status(tx: BookTransaction, account: int, before: int, scope: Iterable[str] | None = None) -> BookStatus:
    """Count the orders of one account. Readings before `before`, in unix milliseconds, are stale. `scope`: the only
    orders that exist."""
    found = BookStatus(imports=unfinished(tx, account))
    known = {number: kind for kind, number in kinds(tx).items()}
    values: dict[str, Any] = {"account": account, "before": before}
    scoped = ""
    if scope is not None:
        ids = {f"scope{index}": order_id for index, order_id in enumerate(sorted(scope))}
        scoped = f" AND order_id IN ({', '.join(f':{name}' for name in ids)})" if ids else " AND 1 = 0"
        values |= ids
    rows = tx.rows(
        "SELECT kind, count(*), sum(CASE WHEN read_at < :before THEN 1 ELSE 0 END), "
        "sum(CASE WHEN read_at < 0 THEN 1 ELSE 0 END), min(CASE WHEN read_at > 0 THEN read_at END), max(read_at) "
        f"FROM book WHERE account = :account{scoped} GROUP BY kind",
        values,
    )
    oldest = list[int]()
    for number, orders, old, doubted, first, last in rows:
        kind = known[number]
        found.orders += int(orders)
        found.open += int(orders) * kind.open
        found.stale += int(old) if kind.open else int(doubted)
        found.in_doubt += int(doubted)
        found.newest_read = max(found.newest_read, int(last))
        oldest += [int(first)] if first else []
        found.by_status[kind.status] += int(orders)
        found.by_currency[kind.currency] += int(orders)
        found.by_source[kind.source] += int(orders)
    found.oldest_read = min(oldest, default=0)
    return found
