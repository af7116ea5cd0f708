"""The pause that Kustom asks one replica for, shared with the others of the same account through the store.

Kustom limits an account, not a process. So a pause that begins here is put into the store, and about once a second
every replica looks whether there is one. No call waits for that: a store that is down costs the others at most a 429 of
their own. Without a shared store nothing runs.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from kustom_mcp.api.retry import LONGEST_PAUSE, CoolDown
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable
from kustom_mcp.state.threads import in_thread

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOOK_EVERY = 1.0
"""Seconds between two looks."""
AFTER_FAILURE = 5.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def sharing(
    cool_down: CoolDown, store: Store | None, account: str, wall: Callable[[], float]
) -> AsyncGenerator[None]:
    """Share pauses while this is entered."""
    if store is None:
        yield
        return
    board = _StoredPause(store, account, wall)
    begun, news = anyio.create_memory_object_stream[float](16)

    def tell(seconds: float) -> None:
        try:
            begun.send_nowait(seconds)
        except anyio.WouldBlock:
            log.debug("so many pauses at once are one")

    async def put() -> None:
        async for seconds in news:
            await _tolerantly(lambda seconds=seconds: board.put(seconds))

    async def look() -> None:
        while True:
            found = await _tolerantly(board.look)
            if found is not None:
                cool_down.join(found)
            await anyio.sleep(AFTER_FAILURE if found is None else LOOK_EVERY)

    async with begun, news, anyio.create_task_group() as group:
        group.start_soon(put)
        group.start_soon(look)
        cool_down.started = tell
        try:
            yield
        finally:
            cool_down.started = None
            group.cancel_scope.cancel()


async def _tolerantly(work: Callable[[], float]) -> float | None:
    """Run `work` in a thread; None when the store cannot be used now."""
    try:
        return await in_thread(work)
    except (StoreBusy, StoreUnavailable):
        log.debug("the pauses of other replicas cannot be shared now")
        return None


class _StoredPause:
    """The pause of an account in the store, by the store's clock."""

    def __init__(self, store: Store, account: str, wall: Callable[[], float]) -> None:
        self._store = store
        self._account = account
        self._wall = wall

    def put(self, seconds: float) -> float:
        """Begin or lengthen the pause."""
        from kustom_mcp.state.database.dialects import insert
        from kustom_mcp.state.database.tables import PAUSES

        def work(connection: Connection) -> None:
            until = self._wall() + self._store.skew + seconds
            new = insert(connection, PAUSES).values(account=self._account, until=until)
            later = new.on_conflict_do_update(
                index_elements=[PAUSES.c.account],
                set_={"until": until},
                # One that seems to last for longer than any pause may was put by a clock that was wrong.
                where=(PAUSES.c.until < until) | (PAUSES.c.until > until + LONGEST_PAUSE),
            )
            connection.execute(later)

        self._store.run(work)
        return seconds

    def look(self) -> float:
        """Return the seconds that are left of the pause."""
        from sqlalchemy import select

        from kustom_mcp.state.database.tables import PAUSES

        def work(connection: Connection) -> float:
            until = connection.execute(
                select(PAUSES.c.until).where(PAUSES.c.account == self._account)
            ).scalar_one_or_none()
            return 0.0 if until is None else max(0.0, until - self._wall() - self._store.skew)

        return self._store.run(work)
