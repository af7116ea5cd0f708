"""The book in the PostgreSQL database of KUSTOM_STORE: its tables stand beside the others and use their store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
_BEGIN = "SET LOCAL search_path TO kustom_mcp; SET LOCAL jit TO off"
"""Compiling a statement takes longer than most of them take to run."""
_ROW = re.compile(r"^INSERT INTO .* VALUES (\([:\w, ]+\))")
"""The only row of an insertion."""
_NAME = re.compile(r":(\w+)")
_AT_ONCE = 100
"""Rows of one insertion: each costs a journey to the database otherwise."""


def together(row: str, values: Sequence[Values]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield values in the order of their places, and the rows for as many."""
    names = _NAME.findall(row)
    place = f"({', '.join(['%s'] * len(names))})"
    for first in range(0, len(values), _AT_ONCE):
        some = values[first : first + _AT_ONCE]
        yield tuple(one[name] for one in some for name in names), ", ".join([place] * len(some))


class _PostgresTransaction:
    """A transaction in PostgreSQL."""

    lateral = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.exec_driver_sql(_BEGIN)

    def rows(self, statement: str, values: Values = {}) -> list[tuple[Any, ...]]:  # noqa: B006 - never changed
        from sqlalchemy import text

        found = self._connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []

    def many(self, statement: str, values: Sequence[Values]) -> None:
        from sqlalchemy import text

        one_row = _ROW.search(statement) if len(values) > 1 else None
        if one_row is None:
            if values:
                self._connection.execute(text(statement), list(values))
            return
        for some, into in together(one_row[1], values):
            self._connection.exec_driver_sql(statement.replace(one_row[1], into, 1), some)

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
