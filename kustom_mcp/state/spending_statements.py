"""The SQL statements of `spending_limits`. Apart from it because they need SQLAlchemy, which is imported late."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from kustom_mcp.state.account import Account
from kustom_mcp.state.database.dialects import insert, purge
from kustom_mcp.state.database.tables import MOVED, WRITES


def sweep_writes(connection: Connection, caller: str, now: float, *, minute: float) -> None:
    """Remove writes that are older than a minute before `now`.

    Rows that seem to be from the future, because the clock was set back, happened now at the latest: otherwise they
    would count for longer than they should. This touches only the caller that is being counted.
    """
    purge(connection, WRITES, WRITES.c.at <= now - minute)
    mine = (WRITES.c.caller == caller, WRITES.c.at > now)
    connection.execute(update(WRITES).where(*mine).values(at=now))


def sweep_moved(connection: Connection, early: float, late: float, *, day: float, what: dict[str, str] | None) -> None:
    """Remove reservations that are older than a day by the earlier of two clocks.

    Those of the amounts that are being counted which seem to be from the future of both happened at `late`.
    """
    purge(connection, MOVED, MOVED.c.at <= early - day)
    if what is not None:
        connection.execute(update(MOVED).where(*_of(what), MOVED.c.at > late).values(at=late))


def writes(connection: Connection, caller: str, since: float) -> tuple[int, float | None]:
    """Count the writes of a caller, and return the time of the oldest."""
    mine = (WRITES.c.caller == caller, WRITES.c.at > since)
    count, oldest = connection.execute(select(func.count(), func.min(WRITES.c.at)).where(*mine)).one()
    return count, oldest


def add_write(connection: Connection, caller: str, now: float) -> None:
    """Count a write of the caller."""
    connection.execute(WRITES.insert().values(caller=caller, at=now))


def reservations(connection: Connection, what: dict[str, str], but: str, since: float) -> list[tuple[float, int]]:
    """Return time and amount, in minor units, of each reservation for an account, kind and currency; oldest first,
    without the intent `but`."""
    found = select(MOVED.c.at, MOVED.c.amount).where(*_of(what), MOVED.c.key != but, MOVED.c.at > since)
    return [(at, amount) for at, amount in connection.execute(found.order_by(MOVED.c.at))]


def reserve(connection: Connection, key: str, what: dict[str, str], amount: int, now: float) -> None:
    """Reserve for an intent. A further attempt of the same intent holds the same reservation, from now on."""
    new = insert(connection, MOVED).values(key=key, amount=amount, at=now, holders=1, **what)
    again = new.on_conflict_do_update(index_elements=[MOVED.c.key], set_={"at": now, "holders": MOVED.c.holders + 1})
    connection.execute(again)


def give_back(connection: Connection, key: str) -> None:
    """Release one attempt, which moved nothing. The reservation goes with its last holder."""
    connection.execute(update(MOVED).where(MOVED.c.key == key).values(holders=MOVED.c.holders - 1))
    connection.execute(delete(MOVED).where(MOVED.c.key == key, MOVED.c.holders <= 0))


def take_over(connection: Connection, account: Account) -> None:
    """Rename the reservations that version 0.1 made for this account, so that they count."""
    names = [name for name in _names(connection) if account.was_named(name)]
    if names:
        connection.execute(update(MOVED).where(MOVED.c.account.in_(names)).values(account=account.name))


def count_shared(connection: Connection, account: Account, since: float) -> int:
    """Count the reservations under a name that this account may have shared with others."""
    names = [name for name in _names(connection) if account.may_have_been_named(name)]
    which = (MOVED.c.account.in_(names), MOVED.c.at > since)
    return connection.execute(select(func.count()).where(*which)).scalar_one() if names else 0


def _names(connection: Connection) -> list[str]:
    return list(connection.execute(select(MOVED.c.account).distinct()).scalars())


def _of(what: dict[str, str]) -> list[Any]:
    return [MOVED.c[name] == value for name, value in what.items()]
