"""The store: one database of all that outlives a process or is shared - an SQLite file, memory, or PostgreSQL.

    store = Store.postgres(url)               or Store.file(path), Store.memory()
    store.run(work, locks=("name",))          run work(connection) in one transaction, alone among all, on any machine,
                                              that take a lock of the same name
    store.skew                                seconds to add to this machine's time of day to get the store's

The differences between databases are in `sqlite` and `postgres`, the tables in `tables`, their history in `migrations`.
The statements are in the modules that keep something: `intents`, `spending_statements`, `shared_cooldown`.

SQLAlchemy Core speaks to both databases, so that each statement stands once. It is imported with the first use, because
that takes some tenths of a second which only a process that writes should pay. Everything here blocks, for `patience`
seconds and a little more at most: call it in a thread. An error has the database's name for the problem, and neither
host nor user, which the drivers' own errors name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import SecretStr

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

PATIENCE = 3.0


class StoreUnavailable(Exception):
    """The store can be neither read nor written. The text gives the reason in a word."""


class StoreUnfit(StoreUnavailable):
    """The store answers, but its tables are not those of this version. The text is a sentence for the operator."""


class StoreBusy(Exception):
    """Another process, or thread, holds the store for longer than we wait."""


class Database(Protocol):
    """A kind of database: the operations in which kinds differ."""

    def open(self) -> Engine:
        """Connect, for the first time."""
        ...

    def replaced(self) -> bool:
        """Return whether the opened file is no longer the one at its path."""
        ...

    def start_timer(self) -> None:
        """Start the time limit of a transaction."""
        ...

    def begin(self, connection: Connection, locks: Sequence[str]) -> None:
        """Begin a transaction: set the bounds of its time, and wait for its locks."""
        ...

    def is_busy(self, error: Exception) -> bool: ...

    def name(self, error: Exception) -> str:
        """Return the database's name of an error: no path, no host, no value."""
        ...

    def skew(self) -> float: ...


class Store:
    """One database, opened by its first use and again after a failure."""

    def __init__(
        self,
        database: Callable[[], Database],
        *,
        patience: float = PATIENCE,
        shared: bool = False,
        path: Path | None = None,
    ) -> None:
        self.shared = shared
        """Whether several machines use it."""
        self.path = path
        """The file; None for memory, and for a database of several machines."""
        self._patience = patience
        self._make = database
        self._database: Database | None = None
        self._engine: Engine | None = None
        self._turn = threading.Semaphore(1)
        self._opening = threading.Lock()
        if shared:
            from kustom_mcp.state.database.postgres import CONNECTIONS

            self._turn = threading.Semaphore(CONNECTIONS)

    @classmethod
    def memory(cls) -> Store:
        return cls.file(None)

    @classmethod
    def file(cls, path: Path | None, *, patience: float = PATIENCE) -> Store:
        """Return an SQLite file for the processes of one machine, in memory without a path."""

        def make() -> Database:
            from kustom_mcp.state.database.sqlite import Sqlite

            return Sqlite(path, patience)

        return cls(make, patience=patience, path=path)

    @classmethod
    def postgres(cls, url: SecretStr, *, patience: float = PATIENCE) -> Store:
        """Return a PostgreSQL database for several machines. ImportError without its driver, ValueError for a bad
        URL."""
        from kustom_mcp.state.database.postgres import Postgres

        database = Postgres(url, patience)
        return cls(lambda: database, patience=patience, shared=True)

    @property
    def outlives(self) -> bool:
        """Whether the store outlives the process, so that a question takes time."""
        return self.shared or self.path is not None

    def there(self) -> bool:
        """Whether the store may hold something: it was opened before, by this process or another."""
        return self.shared or self._engine is not None or (self.path is not None and self.path.exists())

    @property
    def skew(self) -> float:
        """Seconds that the store's clock is ahead of ours, as measured when it was opened; 0 before."""
        return self._database.skew() if self._database else 0.0

    def run(self, work: Callable[[Connection], T], *, locks: Sequence[str] = (), snapshot: bool = False) -> T:
        """Run `work` in one transaction; alone among all that take one of the same locks.

        `snapshot`: every statement sees the same state, although others write meanwhile; for reads only.

        StoreBusy, StoreUnavailable: it was not done, or in the worst case that is not known.
        """
        import sqlite3

        from sqlalchemy.exc import SQLAlchemyError

        if not self._turn.acquire(timeout=self._patience):
            raise StoreBusy
        try:
            engine, database = self._opened()
            database.start_timer()
            if snapshot and self.shared:  # in SQLite it is so anyway
                engine = engine.execution_options(isolation_level="REPEATABLE READ")
            with engine.begin() as connection:
                database.begin(connection, sorted(locks))
                return work(connection)
        except StoreUnavailable:
            raise
        except (OSError, sqlite3.Error, SQLAlchemyError) as error:
            problem = self._problem(error)
        finally:
            self._turn.release()
        raise problem

    def writable(self) -> None:
        """Check that it can be written to now. StoreBusy, StoreUnavailable."""
        from kustom_mcp.state.database.tables import PROBE

        self.run(lambda connection: connection.execute(PROBE))

    def close(self) -> None:
        """Close the store, once a thread that uses it has finished; left open if that takes longer than `patience`. The
        next use opens it again; a store in memory is empty then."""
        if self._turn.acquire(timeout=self._patience):
            try:
                self._drop()
            finally:
                self._turn.release()

    def _drop(self) -> None:
        with self._opening:
            self._dispose()

    def _opened(self) -> tuple[Engine, Database]:
        with self._opening:
            if self._database is None:
                self._database = self._make()
            if self._engine is None or self._database.replaced():
                self._database.start_timer()
                self._dispose()
                self._engine = self._database.open()
            return self._engine, self._database

    def _problem(self, error: Exception) -> Exception:
        database = self._database
        if database is None:
            return StoreUnavailable(type(error).__name__)
        if database.is_busy(error):
            return StoreBusy()
        if not self.shared:  # a pool mends itself, and other threads may be using it
            self._drop()
        return StoreUnavailable(database.name(error))

    def _dispose(self) -> None:
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.dispose()
