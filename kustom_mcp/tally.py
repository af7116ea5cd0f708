"""The tables behind the limits, and the statements on them: SQLite, through SQLAlchemy Core.

Every transaction is `BEGIN IMMEDIATE`: it holds the only right to write before it reads, so of two processes that want
the last unit one waits, and then sees that it is gone. Apart from `limits` because importing SQLAlchemy takes some
tenths of a second, which only a process that writes should pay.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from kustom_mcp.audit import private_directory

_PAUSE = 0.01  # seconds between two attempts to open the file

_TABLES = MetaData()
_WRITES = Table("writes", _TABLES, Column("caller", String, nullable=False), Column("at", Float, nullable=False))
_MOVED = Table(
    "moved",
    _TABLES,
    Column("key", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("holders", Integer, nullable=False),  # attempts that have not said that nothing moved
)
Index("writes_by_caller", _WRITES.c.caller, _WRITES.c.at)
Index("moved_by_account", _MOVED.c.account, _MOVED.c.kind, _MOVED.c.currency, _MOVED.c.at)


def opened(path: Path | None, patience: float) -> Engine:
    """The database, made where it is missing: a private file, or memory without a path. One connection.

    `patience`: seconds to wait for another process. OSError, sqlite3.Error, SQLAlchemyError.
    """
    if path is not None:
        private_directory(path.parent)
        with contextlib.suppress(FileExistsError):  # SQLite would make it readable for others
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    until = time.monotonic() + patience
    while True:
        try:
            return _connected(path, patience)
        except OperationalError as error:
            # Two processes that both make a new file a WAL one: SQLite tells one of them at once, without waiting.
            if not is_busy(error) or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)


def _connected(path: Path | None, patience: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path) if path else None),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": patience, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            _TABLES.create_all(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def is_busy(error: Exception) -> bool:
    """Whether SQLite says that somebody else holds the file."""
    code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()  # what was reserved survives a loss of power


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def sweep(connection: Connection, now: float, *, minute: float, day: float) -> None:
    """Remove what is older than a minute, or a day, before `now`.

    What seems to be from the future, because the clock was set back, happened now at the latest: otherwise it would
    count for longer than it should.
    """
    for table, age in ((_WRITES, minute), (_MOVED, day)):
        connection.execute(delete(table).where(table.c.at <= now - age))
        connection.execute(update(table).where(table.c.at > now).values(at=now))


def writes(connection: Connection, caller: str) -> tuple[int, float | None]:
    """How many writes of a caller there are, and the time of the oldest."""
    found = select(func.count(), func.min(_WRITES.c.at)).where(_WRITES.c.caller == caller)
    count, oldest = connection.execute(found).one()
    return count, oldest


def add_write(connection: Connection, caller: str, now: float) -> None:
    connection.execute(_WRITES.insert().values(caller=caller, at=now))


def moved(connection: Connection, what: dict[str, str], but: str) -> int:
    """The sum of what is reserved for an account, kind and currency, without the intent `but`. Minor units."""
    total = select(func.coalesce(func.sum(_MOVED.c.amount), 0)).where(*_of(what, but))
    return connection.execute(total).scalar_one()


def reservations(connection: Connection, what: dict[str, str], but: str) -> list[tuple[float, int]]:
    """Time and amount of each, oldest first."""
    found = select(_MOVED.c.at, _MOVED.c.amount).where(*_of(what, but)).order_by(_MOVED.c.at)
    return [(at, amount) for at, amount in connection.execute(found)]


def reserve(connection: Connection, key: str, what: dict[str, str], amount: int, now: float) -> None:
    """Reserve for an intent. A further attempt of the same intent holds the same reservation, from now on."""
    new = insert(_MOVED).values(key=key, amount=amount, at=now, holders=1, **what)
    again = new.on_conflict_do_update(index_elements=[_MOVED.c.key], set_={"at": now, "holders": _MOVED.c.holders + 1})
    connection.execute(again)


def give_back(connection: Connection, key: str) -> None:
    """One attempt moved nothing. The reservation goes with its last holder."""
    connection.execute(update(_MOVED).where(_MOVED.c.key == key).values(holders=_MOVED.c.holders - 1))
    connection.execute(delete(_MOVED).where(_MOVED.c.key == key, _MOVED.c.holders <= 0))


def _of(what: dict[str, str], but: str) -> list[Any]:
    return [*(_MOVED.c[name] == value for name, value in what.items()), _MOVED.c.key != but]
