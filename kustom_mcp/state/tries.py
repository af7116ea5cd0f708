"""Wrong answers, counted over time for all processes that share a store: so many for a subject, and no more.

A try is counted before it is made and taken back when it was right, so that a hundred at once are no more than one
after the other, and a process that dies in between leaves it counted. A subject is a digest: nothing here names
anybody. Everything blocks, for a few seconds at most: call it in a thread.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kustom_mcp.state.database import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

HOUR = 3600.0
"""Seconds for which a try counts."""


class Tries:
    """The tries in a store. Times are unix seconds by the caller's clock; they are kept by the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, subjects: Sequence[str], most: int, now: float) -> str | None:
        """Count one try for each subject, and return its id; None, and nothing counted, where one of them has had its
        tries of an hour. StoreBusy, StoreUnavailable."""
        from sqlalchemy import func, select, update

        from kustom_mcp.state.database.dialects import purge
        from kustom_mcp.state.database.tables import TRIES

        name = secrets.token_hex(16)

        def work(connection: Connection) -> str | None:
            at, these = now + self._store.skew, TRIES.c.subject.in_(subjects)
            purge(connection, TRIES, TRIES.c.at <= at - HOUR)
            # A clock that was set back must not make a try count for longer.
            connection.execute(update(TRIES).where(these, TRIES.c.at > at).values(at=at))
            counted = select(func.count()).where(these, TRIES.c.at > at - HOUR).group_by(TRIES.c.subject)
            if max(connection.execute(counted).scalars(), default=0) >= most:
                return None
            connection.execute(TRIES.insert(), [{"id": name, "subject": subject, "at": at} for subject in subjects])
            return name

        return self._store.run(work, locks=("tries",))

    def take_back(self, name: str, subjects: Sequence[str]) -> None:
        """Forget a try that was right. StoreBusy, StoreUnavailable."""
        from sqlalchemy import delete

        from kustom_mcp.state.database.tables import TRIES

        gone = delete(TRIES).where(TRIES.c.subject.in_(subjects), TRIES.c.id == name)
        self._store.run(lambda connection: connection.execute(gone))
