"""An order book in memory for tests, whose orders go by their numbers."""

from __future__ import annotations

from typing import Any

from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry, entry_of
from kustom_mcp.book.query import Query, SortKey, place
from kustom_mcp.book.search import Coverage, Search
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, doubt, put
from tests.book.writers import order


class Books:
    """One book."""

    def __init__(self) -> None:
        self.database = SqliteBook(None)
        self.account = self.database.write(lambda tx: account_number(tx, "a"))

    def add(
        self, number: int, source: str = "call", *, read_at: float = 1.0, disputed: bool = False, **more: Any
    ) -> None:
        entry = entry_of(order(number, **more), source, read_at, disputed=disputed)
        assert entry is not None
        self.database.write(lambda tx: put(tx, self.account, [entry]))

    def page(
        self, by: SortKey = "created_at", limit: int = 50, after: BookEntry | None = None, **wanted: Any
    ) -> list[BookEntry]:
        here = None if after is None else place(by, after)
        return self.database.read(
            lambda tx: Search(tx, self.account, asked(**wanted), None).page(by, limit, after=here)
        )

    def exactly(self, **wanted: Any) -> list[int]:
        """Those that are called exactly so."""

        def ask(tx: BookTransaction) -> frozenset[str]:
            search = Search(tx, self.account, asked(**wanted), None)
            return search.exact(search.page("created_at", 50))

        return sorted(map(number_of, self.database.read(ask)))

    def numbers(
        self, by: SortKey = "created_at", limit: int = 50, after: BookEntry | None = None, **wanted: Any
    ) -> list[int]:
        return [number_of(entry.order_id) for entry in self.page(by, limit, after, **wanted)]

    def counted(self, **wanted: Any) -> int:
        return self.database.read(lambda tx: Search(tx, self.account, asked(**wanted), None).totals()).orders

    def known(self, read_before: int) -> Coverage:
        return self.database.read(lambda tx: Search(tx, self.account, Query(), None).known(read_before))

    def doubtful(self, read_before: int, **wanted: Any) -> int:
        def count(tx: BookTransaction) -> int:
            search = Search(tx, self.account, asked(**wanted), None)
            return search.doubtful(search.known(read_before), read_before)

        return self.database.read(count)

    def stale(self, limit: int, read_before: int, scope: list[str] | None = None) -> list[int]:
        found = self.database.read(
            lambda tx: Search(tx, self.account, Query(), scope).stale("created_at", limit, read_before)
        )
        return [number_of(order_id) for order_id in found]

    def doubt(self, *numbers: int, since: int = 2_000) -> None:
        ids = {order(number).order_id: since for number in numbers}
        self.database.write(lambda tx: doubt(tx, self.account, ids))


def asked(**wanted: Any) -> Query:
    """A query, in which one value may stand for a list of one."""
    lists = ("reference", "status", "fraud_status", "currency")
    whole: dict[str, Any] = {
        name: (value,) if name in lists and isinstance(value, str) else value for name, value in wanted.items()
    }
    return Query(**whole)


def number_of(order_id: str) -> int:
    return int(order_id[-12:])


def both(books: Books, **wanted: Any) -> list[int]:
    """Count the orders that a page shows, as the totals must."""
    shown = books.numbers(**wanted)
    assert books.counted(**wanted) == len(shown)
    return sorted(shown)
