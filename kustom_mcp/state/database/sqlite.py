"""SQLite: a private file for the processes of one machine, or memory. One connection.

Every transaction is `BEGIN IMMEDIATE`: it holds the only right to write before it reads, so of two processes that want
the last unit one waits, and then sees that it is gone. Locks by name are therefore not needed.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from kustom_mcp.state.database import StoreUnfit, migrations
from kustom_mcp.state.former import StillUsed, move_limits
from kustom_mcp.state.private_files import identity_of, make_private, private_directory

_STILL_USED = (
    "An older version of kustom-mcp still runs with this state directory. Stop it (close the hosts that started it), "
    "then start this one: it takes over the records."
)
_OPEN_TO_OTHERS = "Others can write to the state directory, and so forge its records: make it private (chmod 700)."
_PAUSE = 0.01  # seconds between two attempts to open the file


class Sqlite:
    """An SQLite file, made where it is missing; None is memory. `patience`: seconds to wait for another process."""

    def __init__(self, path: Path | None, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._identity: tuple[int, int] | None = None

    def open(self) -> Engine:
        if self._path is not None:
            private_directory(self._path.parent)
            _require_private(self._path.parent)
            try:
                move_limits(self._path.parent)
            except StillUsed:
                raise StoreUnfit(_STILL_USED) from None
            make_private(self._path)
        until = time.monotonic() + self._patience
        while True:
            try:
                engine = self._connected()
            except OperationalError as error:
                # Two processes that both make a new file a WAL one: SQLite tells one of them at once, without waiting.
                if not self.is_busy(error) or time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE)
            else:
                self._identity = identity_of(self._path)
                return engine

    def replaced(self) -> bool:
        """Return whether the file was removed or replaced: it must not go on counting."""
        return self._identity != identity_of(self._path)

    def start_timer(self) -> None:
        pass

    def begin(self, connection: Connection, locks: Sequence[str]) -> None:
        pass

    def is_busy(self, error: Exception) -> bool:
        code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def name(self, error: Exception) -> str:
        cause = getattr(error, "orig", None) or error
        return str(getattr(cause, "sqlite_errorname", type(cause).__name__))

    def skew(self) -> float:
        return 0.0

    def _connected(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self._path) if self._path else None),
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": self._patience, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        try:
            with engine.begin() as connection:
                migrations.apply(connection, "")
        except migrations.TooNew as error:
            engine.dispose()
            raise StoreUnfit(str(error)) from None
        except BaseException:
            engine.dispose()
            raise
        return engine


def _require_private(directory: Path) -> None:
    """Refuse a state directory that others may write to. StoreUnfit, OSError."""
    if os.name != "nt" and directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreUnfit(_OPEN_TO_OTHERS)


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()  # what was reserved survives a loss of power


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
