"""The database of the book: an SQLite file of this machine, or memory. For several machines see `postgres`.

The file is opened with Python's own sqlite3, without SQLAlchemy: every server keeps a book, also one that only reads,
and it shall not pay 11 MiB and a fifth of a second for a handful of statements that both databases take as they are.
It is a file of its own, so that a broken book breaks nothing else, and it is written without waiting for the disk:
entries that are lost with the power are read again.

Everything here blocks, for `patience` seconds at most: call it in a thread.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kustom_mcp.book.database import BookBusy, BookTransaction, BookUnavailable, Values
from kustom_mcp.state.database import PATIENCE
from kustom_mcp.state.database.book_tables import BOOK_STEPS
from kustom_mcp.state.private_files import identity_of, make_private, private_directory

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

LATEST = len(BOOK_STEPS)
FILE = "book.sqlite3"
DAMAGED = "the file is damaged"
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "UnicodeDecodeError", "OperationalError", "KeyError")

_INCOMPLETE = re.compile(r"^no such (?:table|column|index)|has no column")
"""SQLite's complaint about a file that claims to be a book of this version and lacks its tables."""

_PRAGMAS = (
    *("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -64000", "temp_store = MEMORY"),
    "secure_delete = ON",  # what is taken out shall be gone
)


class _SqliteTransaction:
    """A transaction in SQLite."""

    lateral = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Values = {}) -> list[tuple[Any, ...]]:  # noqa: B006 - never changed
        return self._connection.execute(statement, values).fetchall()

    def many(self, statement: str, values: Sequence[Values]) -> None:
        self._connection.executemany(statement, values)

    def by(self, index: str) -> str:
        return f"INDEXED BY {index}"


class SqliteBook:
    """A private file, or memory without a path. It is opened by the first use, and again after a failure."""

    skew = 0.0

    def __init__(self, path: Path | None, *, patience: float = PATIENCE) -> None:
        self.place = f"{FILE} in the state directory" if path else "memory"
        self._path = path
        self._patience = patience
        self._turn = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def read(self, work: Callable[[BookTransaction], T]) -> T:
        return self._run(lambda connection: _transaction(connection, "BEGIN", work))

    def write(self, work: Callable[[BookTransaction], T]) -> T:
        return self._run(lambda connection: _transaction(connection, "BEGIN IMMEDIATE", work))

    def exists(self) -> bool:
        return self._path is None or self._path.exists()

    def size(self) -> int:
        parts = [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")] if self._path else []
        return sum(part.stat().st_size for part in parts if part.exists())

    def tidy(self) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            pages, free = (connection.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "freelist_count"))
            if free * 4 > pages:
                connection.execute("VACUUM")
            blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not blocked

        try:
            return self._run(work)
        except BookBusy:
            return False

    def close(self) -> None:
        with self._turn:
            self._drop()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        import sqlite3

        if not self._turn.acquire(timeout=self._patience):
            raise BookBusy("busy")
        try:
            return work(self._opened())
        except (OSError, sqlite3.Error, UnicodeDecodeError, LookupError) as error:
            # The last two, too, are what a damaged file comes to: a text that is none, a row whose kind is missing. And
            # an error of SQLite without a name is one of Python's own, about a text that it cannot read.
            why = str(getattr(error, "sqlite_errorname", type(error).__name__))
            busy = why.startswith("SQLITE_BUSY")
            if not busy:
                self._drop()
            if why.startswith(_DAMAGED) or _INCOMPLETE.search(str(error)):
                why = f"{DAMAGED}: {why}"
        finally:
            self._turn.release()
        raise BookBusy("busy") if busy else BookUnavailable(why)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._identity != identity_of(self._path):
            self._drop()
            self._connection = self._connect()
            self._identity = identity_of(self._path)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        if self._path is not None:
            private_directory(self._path.parent)
            make_private(self._path)
        connection = sqlite3.connect(
            self._path or ":memory:", timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").close()
            _bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _transaction(connection: sqlite3.Connection, begin: str, work: Callable[[BookTransaction], T]) -> T:
    import sqlite3

    connection.execute(begin)
    try:
        result = work(_SqliteTransaction(connection))
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Apply the steps that are missing. BookUnavailable for a book of a newer version."""

    def version() -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    if version() == LATEST:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = version()
        if done > LATEST:
            raise BookUnavailable("a newer version of kustom-mcp has written it; update this one")
        for statements in BOOK_STEPS[done:]:
            for statement in statements:
                connection.execute(statement.format("", "", "", bytes="", packed=" WITHOUT ROWID"))
        connection.execute(f"PRAGMA user_version = {LATEST}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
