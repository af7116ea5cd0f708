"""Limits that hold over time and for all processes of a machine: writes a minute, and money over a day.

Money is reserved before a request leaves and given back only when it is certain that nothing moved: a process that dies
in between leaves its reservation, and so does an answer that never came. A reservation belongs to an intent, by its
idempotency key, so settling it or sending it again does not count twice. They are kept in one SQLite file of the state
directory, or in memory without one; it is opened with the first write, and opened again after a failure.

Everything here blocks, for at most `patience` seconds: call it in a thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

MINUTE = 60.0
DAY = 24 * 3600.0
PATIENCE = 3.0


class LimitsUnavailable(Exception):
    """The limits can be neither read nor kept, so nothing may be sent. Says why, and no path."""


class LimitsBusy(Exception):
    """Another process, or thread, holds the limits for longer than we wait."""


class TooFast(Exception):
    """This caller has made its writes of a minute. `wait`: seconds until the next."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class NoRoom(Exception):
    """The day's ceiling leaves no room. `left`: minor units that are; `at`: unix seconds when there is, None: never."""

    def __init__(self, left: int, at: float | None) -> None:
        super().__init__(left, at)
        self.left = left
        self.at = at


class Move(NamedTuple):
    """Money that an intent moves. `key`: its idempotency key. `amount` and `ceiling` in minor units."""

    key: str
    account: str
    kind: str
    currency: str
    amount: int
    ceiling: int

    @property
    def counted_with(self) -> dict[str, str]:
        """What shares one ceiling."""
        return {"account": self.account, "kind": self.kind, "currency": self.currency}


class Limits:
    """The counts of one state directory; in memory without one. Times are unix seconds, given by the caller."""

    def __init__(self, state: Path | None, *, patience: float = PATIENCE) -> None:
        self.path = state / "limits" / "limits.sqlite3" if state else None
        self._patience = patience
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        self._identity: tuple[int, int] | None = None

    def take(self, caller: str, most: int, move: Move | None, now: float) -> None:
        """Count one write of `caller`, of at most `most` a minute, and reserve its money: both or neither.

        TooFast, NoRoom, LimitsBusy, LimitsUnavailable.
        """
        from kustom_mcp import tally

        def work(connection: Connection) -> None:
            tally.sweep(connection, now, minute=MINUTE, day=DAY)
            count, oldest = tally.writes(connection, caller)
            if count >= most:
                raise TooFast((oldest or now) + MINUTE - now)
            if move is not None:
                _find_room(connection, move)
                tally.reserve(connection, move.key, move.counted_with, move.amount, now)
            tally.add_write(connection, caller, now)

        self._run(work)

    def look(self, move: Move, now: float) -> None:
        """Whether there would be room, without reserving any. NoRoom, LimitsBusy, LimitsUnavailable."""
        from kustom_mcp import tally

        def work(connection: Connection) -> None:
            tally.sweep(connection, now, minute=MINUTE, day=DAY)
            _find_room(connection, move)

        self._run(work)

    def give_back(self, key: str) -> None:
        """This attempt has moved nothing, for certain. LimitsBusy, LimitsUnavailable."""
        from kustom_mcp import tally

        self._run(lambda connection: tally.give_back(connection, key))

    def close(self) -> None:
        """Close the file. The next use opens it again; what was kept in memory is gone."""
        with self._turn:
            self._dispose()

    def _run(self, work: Callable[[Connection], T]) -> T:
        """Do this in one transaction, alone."""
        import sqlite3

        from sqlalchemy.exc import SQLAlchemyError

        from kustom_mcp import tally

        if not self._turn.acquire(timeout=self._patience):
            raise LimitsBusy
        try:
            with self._opened().begin() as connection:
                return work(connection)
        except (OSError, sqlite3.Error, SQLAlchemyError) as error:
            if tally.is_busy(error):
                raise LimitsBusy from None
            self._dispose()
            raise LimitsUnavailable(_name(error)) from None
        finally:
            self._turn.release()

    def _opened(self) -> Engine:
        if self._engine is not None and self._identity == _identity(self.path):
            return self._engine
        from kustom_mcp import tally

        self._dispose()
        self._engine = tally.opened(self.path, self._patience)
        self._identity = _identity(self.path)
        return self._engine

    def _dispose(self) -> None:
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.dispose()


def _find_room(connection: Connection, move: Move) -> None:
    from kustom_mcp import tally

    others = tally.moved(connection, move.counted_with, move.key)
    over = others + move.amount - move.ceiling
    if over <= 0:
        return
    left = max(0, move.ceiling - others)
    for at, amount in tally.reservations(connection, move.counted_with, move.key):
        over -= amount
        if over <= 0:
            raise NoRoom(left, at + DAY)
    raise NoRoom(left, None)


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Which file that is: one that was removed under our feet must not go on counting."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _name(error: Exception) -> str:
    """What SQLite said, inside what SQLAlchemy made of it."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", type(cause).__name__))
