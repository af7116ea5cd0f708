"""Limits over time, shared by processes and replicas: writes a minute, and money over a day.

Money is reserved before a request leaves and given back only when it is certain that nothing moved: a process that dies
in between leaves its reservation, and so does an answer that never came. A reservation belongs to an intent, by its
idempotency key, so resolving it or sending it again does not count twice. They are kept in the store.

Everything here blocks, for a few seconds at most: call it in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from kustom_mcp.state.account import Account

MINUTE = 60.0
DAY = 24 * 3600.0
SAME_TIME = 300.0
"""Seconds by which Kustom's clock and ours may differ before both count."""


class LimitsUnavailable(Exception):
    """The limits can be neither read nor kept, so nothing may be sent. The text gives the reason, and no path."""


class LimitsBusy(Exception):
    """Another process, or thread, holds the limits for longer than we wait."""


class RateExceeded(Exception):
    """The caller has made its writes of a minute. `wait`: seconds until the next."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class LimitReached(Exception):
    """The day's ceiling leaves no room. `left`: minor units that are left; `at`: unix seconds of the moment when
    there is room, None: never."""

    def __init__(self, left: int, at: float | None) -> None:
        super().__init__(left, at)
        self.left = left
        self.at = at


class Reservation(NamedTuple):
    """Money that an intent moves. `key`: its idempotency key. `amount` and `ceiling` in minor units; without a ceiling
    it is counted all the same, for one that is set later."""

    key: str
    account: str
    kind: str
    currency: str
    amount: int
    ceiling: int | None

    @property
    def counted_with(self) -> dict[str, str]:
        """The columns whose values share one ceiling."""
        return {"account": self.account, "kind": self.kind, "currency": self.currency}


class SpendingLimits:
    """The counts of one store. Times are unix seconds, given by the caller and by its clock; they are kept by the
    store's."""

    def __init__(self, store: Store | None = None, *, account: Account | None = None) -> None:
        self.store = store or Store.memory()
        self.place = "the database of KUSTOM_STORE" if self.store.shared else "store.sqlite3 in the state directory"
        """The place for an operator to look at when this fails."""
        self._newcomer = account
        """The account, until the reservations of earlier versions have been renamed for it."""

    def take(
        self,
        caller: str,
        most: int,
        move: Reservation | None,
        now: float,
        also: Callable[[Connection], None] | None = None,
        locks: tuple[str, ...] = (),
        ahead: float = 0.0,
    ) -> None:
        """Count one write of `caller`, of at most `most` a minute, and reserve its money: both or neither.

        `ahead`: seconds by which Kustom's clock is ahead of ours. Where they differ by more than SAME_TIME,
        money counts from the later of both times until a day after it by the earlier: neither clock frees any alone.

        `also` runs in the same transaction, under `locks`; what it raises leaves nothing counted. RateExceeded,
        LimitReached, LimitsBusy, LimitsUnavailable.
        """
        from kustom_mcp.state import spending_statements

        def work(connection: Connection, now: float) -> None:
            early, late = _both(now, ahead)
            spending_statements.sweep_writes(connection, caller, now, minute=MINUTE)
            spending_statements.sweep_moved(connection, early, late, day=DAY, what=move and move.counted_with)
            count, oldest = spending_statements.writes(connection, caller, now - MINUTE)
            if count >= most:
                raise RateExceeded((oldest or now) + MINUTE - now)
            if move is not None:
                _find_room(connection, move, early)
                spending_statements.reserve(connection, move.key, move.counted_with, move.amount, late)
            spending_statements.add_write(connection, caller, now)
            if also is not None:
                also(connection)

        self._run(work, now, f"writes of {caller}", *_turn(move), *locks)

    def look(self, move: Reservation, now: float, ahead: float = 0.0) -> None:
        """Check that there would be room, without reserving any; `ahead` as in `take`. LimitReached, LimitsBusy,
        LimitsUnavailable."""
        from kustom_mcp.state import spending_statements

        def work(connection: Connection, now: float) -> None:
            early, late = _both(now, ahead)
            spending_statements.sweep_moved(connection, early, late, day=DAY, what=move.counted_with)
            _find_room(connection, move, early)

        self._run(work, now, *_turn(move))

    def give_back(self, key: str) -> None:
        """Release the reservation of one attempt, which has certainly moved nothing. LimitsBusy, LimitsUnavailable."""
        from kustom_mcp.state import spending_statements

        self._run(lambda connection, _: spending_statements.give_back(connection, key), 0.0)

    def count_shared(self, account: Account) -> int:
        """Count the reservations of earlier versions that may be this account's or another's. Makes no file.
        LimitsBusy, LimitsUnavailable."""
        if not self.store.there():
            return 0
        from kustom_mcp.state import spending_statements

        found: list[int] = []
        count = spending_statements.count_shared
        self._run(lambda connection, now: found.append(count(connection, account, now - DAY)), time.time())
        return sum(found)

    def _run(self, work: Callable[[Connection, float], None], now: float, *locks: str) -> None:
        """Run `work` in one transaction, by the store's clock, under its locks. The first one renames the counts of
        earlier versions."""
        from kustom_mcp.state import spending_statements

        newcomer = self._newcomer

        def whole(connection: Connection) -> None:
            if newcomer is not None:
                spending_statements.take_over(connection, newcomer)
            work(connection, now + self.store.skew)

        try:
            self.store.run(whole, locks=locks if newcomer is None else ("accounts", *locks))
        except StoreBusy:
            raise LimitsBusy from None
        except StoreUnavailable as error:
            raise LimitsUnavailable(str(error)) from None
        except LimitReached as full:
            raise LimitReached(full.left, None if full.at is None else full.at - self.store.skew) from None
        self._newcomer = None


def _turn(move: Reservation | None) -> tuple[str, ...]:
    """Return the lock of all that is counted together."""
    return () if move is None else ("moved " + "/".join(move.counted_with.values()),)


def _both(now: float, ahead: float) -> tuple[float, float]:
    """Return the earlier and the later of our time and Kustom's; ours alone where they agree."""
    theirs = now + ahead if abs(ahead) > SAME_TIME else now
    return min(now, theirs), max(now, theirs)


def _find_room(connection: Connection, move: Reservation, now: float) -> None:
    from kustom_mcp.state import spending_statements

    if move.ceiling is None:
        return
    others = spending_statements.reservations(connection, move.counted_with, move.key, now - DAY)
    taken = sum(amount for _, amount in others)
    over = taken + move.amount - move.ceiling
    if over <= 0:
        return
    left = max(0, move.ceiling - taken)
    for at, amount in others:
        over -= amount
        if over <= 0:
            raise LimitReached(left, at + DAY)
    raise LimitReached(left, None)
