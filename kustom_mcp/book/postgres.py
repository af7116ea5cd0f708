"""The book in the PostgreSQL database of KUSTOM_STORE: its tables stand beside the others and use their store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from kustom_mcp.book.database import BookBusy, BookTransaction, BookUnavailable, Values
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname = 'kustom_mcp' AND c.relkind = 'r' AND c.relname LIKE 'book%'"
)


class _PostgresTransaction:
    """A transaction in PostgreSQL."""

    lateral = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.exec_driver_sql("SET LOCAL search_path TO kustom_mcp")

    def rows(self, statement: str, values: Values = {}) -> list[tuple[Any, ...]]:  # noqa: B006 - never changed
        from sqlalchemy import text

        found = self._connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []

    def many(self, statement: str, values: Sequence[Values]) -> None:
        from sqlalchemy import text

        if values:
            self._connection.execute(text(statement), list(values))

    def by(self, index: str) -> str:
        return ""


class PostgresBook:
    """The tables beside the others of KUSTOM_STORE."""

    place = "the database of KUSTOM_STORE"

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def skew(self) -> float:
        return self._store.skew

    def read(self, work: Callable[[BookTransaction], T]) -> T:
        return self._run(lambda run_in: self._store.run(run_in, snapshot=True), work)

    def write(self, work: Callable[[BookTransaction], T]) -> T:
        return self._run(lambda run_in: self._store.run(run_in, locks=["book"]), work)

    def exists(self) -> bool:
        return True

    def size(self) -> int:
        return int(self.read(lambda tx: tx.rows(_SIZE))[0][0])

    def tidy(self) -> bool:
        """Leave that to the database, which does it with its next VACUUM."""
        return False

    def close(self) -> None:
        """Do nothing: the owner of the store closes it."""

    def _run(self, run: Callable[[Callable[[Connection], T]], T], work: Callable[[BookTransaction], T]) -> T:
        try:
            return run(lambda connection: work(_PostgresTransaction(connection)))
        except StoreBusy:
            raise BookBusy("busy") from None
        except StoreUnavailable as error:
            raise BookUnavailable(str(error)) from None
