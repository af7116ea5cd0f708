"""Intents: every write that has left, from its sending to its outcome, and the leases that put writes in a row.

    intents.send(connection, new, seen=None)   one row an intent, unique by account and key; AlreadySent
    intents.of_order(account, order_id)        all that this server, or a colleague, has sent for an order
    intents.close(account, key, outcome)       with the outcome the sealed body is erased; the row is the journal
    intents.journal(accounts, ...)             the rows as people read them, a page at a time

A row stays: it is what makes its key unique, so that no wish is ever sent twice.

A row is in the store before the first byte of its write leaves. Sending is a compare-and-set: a row that is new, or
whose last outcome was that nothing was done, becomes sent; a resend states how many attempts it has seen. Whoever finds
a row that was sent and has no outcome treats its write as in doubt. A lease on the order only puts writes in a row: one
that ran out leaves a write in doubt, not a free order.

Everything here blocks, for a few seconds at most: call it in a thread. Times are unix seconds, by the caller's clock;
they are kept by the store's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kustom_mcp.state.account import Account
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import Store, StoreBusy, StoreUnavailable
from kustom_mcp.state.private_files import parsed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

T = TypeVar("T")

NOTHING_DONE = frozenset({"not_sent", "rejected"})
"""Outcomes after which an intent goes back to approved, and keeps its key."""
EFFECT_THERE = frozenset({"applied", "already_applied", "done"})
GIVEN_UP = frozenset({"not_seen", "not_done"})
"""Outcomes after which an intent is never sent again: the same wish is a new intent, with another key."""


class AlreadySent(Exception):
    """The compare-and-set failed: this intent was sent meanwhile, or has an outcome that forbids sending."""

    def __init__(self, intent: Intent) -> None:
        super().__init__(intent.outcome)
        self.intent = intent


class LeaseTaken(Exception):
    """Another process holds the order. `left`: seconds until its lease ends by itself."""

    def __init__(self, left: float) -> None:
        super().__init__(left)
        self.left = left


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One write. `outcome` is None while nobody knows it. `digest`: of its call. `entry`: the id that Kustom gave.

    `content` holds what the journal tells and what recognises the effect; no personal data. `sealed`: the arguments of
    the call, sealed, until the outcome is known. `looks`: looks in a row that did not find the effect.
    """

    account: str
    key: str
    digest: str
    tool: str
    order_id: str
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sealed: str | None = None
    sent: float = 0.0
    outcome: str | None = None
    attempts: int = 0
    closed: float | None = None
    looks: int = 0
    looked: float = 0.0
    entry: str | None = None
    at: float = field(default=0.0, compare=False)
    """`sent` by the clock of the store: the journal is in this order, and then in that of the keys."""

    @property
    def unresolved(self) -> bool:
        """Whether its outcome is not known."""
        return self.outcome is None


class Intents:
    """The intents and leases of one store."""

    def __init__(self, store: Store, *, state: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._state = state
        self._now = now
        self._took_over = False
        self.blocks = store.outlives
        """Whether a question may take time."""
        self.place = "the database of KUSTOM_STORE" if store.shared else "the state directory"
        """The place for an operator to look at when this fails."""

    def send(self, connection: Connection, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
        """Mark an intent as sent, within a transaction that holds `lock_of` it, before its first byte leaves.

        `seen`: the attempts of the row that is sent again; None for a first sending. `harmless`: one whose effect is
        there may go again. AlreadySent.
        """
        from kustom_mcp.state.database.tables import INTENTS

        mine = (INTENTS.c.account == new.account, INTENTS.c.key == new.key)
        found = self._rows(connection, *mine)
        before = found[0] if found else None
        if before is not None and not _may_go(before, seen, harmless=harmless):
            raise AlreadySent(before)
        sent = before.sent if before is not None and before.unresolved else self._now()
        row = {
            "digest": new.digest,
            "tool": new.tool,
            "order_id": new.order_id,
            "outcome": None,
            "attempts": (before.attempts if before else 0) + 1,
            "sent": sent + self._store.skew,
            "closed": None,
            "looks": 0,
            "looked": 0.0,
            "entry": None,
            "content": json.dumps(new.content, separators=(",", ":"), default=str),
            "sealed": new.sealed,
        }
        if before is None:
            connection.execute(INTENTS.insert().values(account=new.account, key=new.key, **row))
        else:
            connection.execute(INTENTS.update().where(*mine).values(row))

    def use_up(self, found: Intent) -> None:
        """Keep that an approval was used although nothing was sent for it: its effect was there. AuditUnavailable."""
        from kustom_mcp.state.database.dialects import insert
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> None:
            now = self._now() + self._store.skew
            row = {
                **{name: getattr(found, name) for name in ("account", "key", "digest", "tool", "order_id")},
                "outcome": "already_applied",
                "attempts": 0,
                "sent": now,
                "closed": now,
                "looks": 0,
                "looked": 0.0,
                "entry": None,
                "content": json.dumps(found.content, separators=(",", ":"), default=str),
            }
            connection.execute(insert(connection, INTENTS).values(row).on_conflict_do_nothing())

        self._run(work)

    def close(
        self,
        account: str,
        key: str,
        outcome: str,
        *,
        entry: str | None = None,
        facts: Mapping[str, Any] | None = None,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Record the outcome of an intent, and erase its arguments. `facts` are added to its content.
        AuditUnavailable."""
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> None:
            mine = (INTENTS.c.account == account, INTENTS.c.key == key)
            found = self._rows(connection, *mine)
            if found:
                content = {**found[0].content, **(facts or {})}
                values: dict[str, Any] = {
                    "outcome": outcome,
                    "closed": self._now() + self._store.skew,
                    "sealed": None,
                    "content": json.dumps(content, separators=(",", ":"), default=str),
                }
                if entry is not None:
                    values["entry"] = entry
                connection.execute(INTENTS.update().where(*mine).values(values))
            if also is not None:
                also(connection)

        self._run(work, lock_of(account, key))

    def adopt(self, intent: Intent, account: str) -> None:
        """Put a record of version 0.1 under the account that has just read its order. AuditUnavailable."""
        from kustom_mcp.state.database.tables import INTENTS

        mine = (INTENTS.c.account == intent.account, INTENTS.c.key == intent.key)
        self._run(lambda connection: connection.execute(INTENTS.update().where(*mine).values(account=account)))

    def looked(self, intent: Intent, *, absent: bool) -> None:
        """Record a look that did not find the effect; `absent`: no entry that might be it either. AuditUnavailable."""
        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> None:
            mine = (INTENTS.c.account == intent.account, INTENTS.c.key == intent.key, INTENTS.c.outcome.is_(None))
            looks = INTENTS.c.looks + 1 if absent else 0
            connection.execute(INTENTS.update().where(*mine).values(looks=looks, looked=self._now() + self._store.skew))

        self._run(work)

    def of_order(self, account: Account, order_id: str, former: Sequence[str] = ()) -> list[Intent]:
        """Return every intent of an order, oldest first: this account's, and whatever version 0.1 kept of it in this
        environment, for an order belongs to one merchant. `former`: keys, and digests of calls, by which version 0.1
        may have kept that they were carried out. AuditUnavailable."""
        if self.none_kept():
            return []
        statement = _of_order(account.name, account.environment, used=bool(former))
        given = {"order_id": order_id, **({"former": list(former)} if former else {})}
        return self._run(lambda connection: self._found(connection, statement, given))

    def unresolved(self, account: Account | None = None) -> list[Intent]:
        """Return the intents without an outcome, oldest first: those that may be of this account, or all.
        AuditUnavailable."""
        if self.none_kept():
            return []
        from kustom_mcp.state.database.tables import INTENTS

        found = self._run(lambda connection: self._rows(connection, INTENTS.c.outcome.is_(None)))
        return [one for one in found if account is None or account.may_hold(one.account)]

    def names(self) -> list[str]:
        """Return the names of all accounts that have records here. AuditUnavailable."""
        from sqlalchemy import func, select

        from kustom_mcp.state.database.tables import INTENTS

        def work(connection: Connection) -> list[str]:
            found, after = list[str](), ""
            while True:  # a name at a time: the index gives each at once, however many rows it has
                rest = select(func.min(INTENTS.c.account)).where(INTENTS.c.account > after)
                name = connection.execute(rest).scalar_one()
                if name is None:
                    return found
                found.append(name)
                after = name

        return [] if self.none_kept() else self._run(work)

    def own_names(self, account: Account) -> list[str]:
        """Return the names of an account's records, those that version 0.1 gave to it alone too. AuditUnavailable."""
        return [account.name, *(name for name in self.names() if account.was_named(name))]

    def journal(
        self,
        accounts: Sequence[str],
        *,
        orders: Collection[str] | None = None,
        tools: Collection[str] | None = None,
        person: str | None = None,
        since: float | None = None,
        before: float | None = None,
        after: tuple[float, str] | None = None,
        most: int = 1000,
        oldest_first: bool = False,
    ) -> list[Intent]:
        """Return the intents of these accounts, newest first. AuditUnavailable.

        Of these orders and tools; that this person asked for or approved, whatever the case of the letters; sent in
        this time; behind the place `after`, `at` and key of an intent; at most so many.
        """
        from sqlalchemy import or_, tuple_

        if self.none_kept():
            return []
        from kustom_mcp.state.database.tables import INTENTS

        place = tuple_(INTENTS.c.sent, INTENTS.c.key)
        which = [INTENTS.c.tool != ""]
        which += [INTENTS.c.order_id.in_(sorted(orders))] if orders is not None else []
        which += [INTENTS.c.tool.in_(sorted(tools))] if tools is not None else []
        if person is not None:
            roles = [f'"{role}":{json.dumps(person)}' for role in ("caller", "approved_by")]
            which.append(or_(*(INTENTS.c.content.icontains(role, autoescape=True) for role in roles)))
        if after is not None:
            which.append(place > after if oldest_first else place < after)

        def work(connection: Connection) -> list[Intent]:
            skew = self._store.skew
            times = [INTENTS.c.sent >= since + skew] if since is not None else []
            times += [INTENTS.c.sent < before + skew] if before is not None else []
            # Of certain orders the index of orders gives a few rows; SQLite would take that of the time, to sort none.
            sent = INTENTS.c.sent if orders is None else INTENTS.c.sent + 0
            order = [column.asc() if oldest_first else column.desc() for column in (sent, INTENTS.c.key)]
            rows = INTENTS.select().where(*which, *times).order_by(*order).limit(most)
            pages = [self._found(connection, rows.where(INTENTS.c.account == account)) for account in accounts]
            # An account at a time: an index has the rows of one in this order.
            return list(merge(*pages, key=lambda intent: intent.at, reverse=not oldest_first))[:most]

        return self._run(work)

    def lease(self, account: str, order_id: str, holder: str, seconds: float) -> float:
        """Hold an order for the writes of one call, and return the end of the lease. LeaseTaken, AuditUnavailable."""
        from kustom_mcp.state.database.dialects import insert, purge
        from kustom_mcp.state.database.tables import LEASES

        def work(connection: Connection) -> float:
            now = self._now() + self._store.skew
            purge(connection, LEASES, LEASES.c.until <= now)
            mine = (LEASES.c.account == account, LEASES.c.order_id == order_id)
            taken = connection.execute(LEASES.select().where(*mine)).first()
            # A lease that seems to last for longer than any does was given by a clock that was wrong.
            if taken is not None and taken.holder != holder and now < taken.until <= now + LONGEST_LEASE:
                raise LeaseTaken(taken.until - now)
            until = now + seconds
            new = insert(connection, LEASES).values(account=account, order_id=order_id, holder=holder, until=until)
            names = [LEASES.c.account, LEASES.c.order_id]
            values = {"holder": holder, "until": until}
            connection.execute(new.on_conflict_do_update(index_elements=names, set_=values))
            return until - self._store.skew

        return self._run(work, f"lease {account} {order_id}")

    def release(self, account: str, order_id: str, holder: str) -> None:
        """End a lease of this holder. AuditUnavailable."""
        self._run(lambda connection: give_up_lease(connection, account, order_id, holder))

    def none_kept(self) -> bool:
        """Return whether there can be no records: a store that was never made has none, and a read makes none."""
        return not (self._store.there() or _former_files(self._state))

    def _rows(self, connection: Connection, *which: Any) -> list[Intent]:
        from kustom_mcp.state.database.tables import INTENTS

        return self._found(connection, INTENTS.select().where(*which).order_by(INTENTS.c.sent, INTENTS.c.key))

    def _found(
        self, connection: Connection, statement: Select[Any], given: Mapping[str, Any] | None = None
    ) -> list[Intent]:
        skew = self._store.skew
        return [
            Intent(
                account=row.account,
                key=row.key,
                digest=row.digest,
                tool=row.tool,
                order_id=row.order_id,
                content=parsed(row.content),
                sealed=row.sealed,
                sent=row.sent - skew,
                outcome=row.outcome,
                attempts=row.attempts,
                closed=None if row.closed is None else row.closed - skew,
                looks=row.looks,
                looked=row.looked - skew,
                entry=row.entry,
                at=row.sent,
            )
            for row in connection.execute(statement, given)
        ]

    def _run(self, work: Callable[[Connection], T], *locks: str) -> T:
        """Run `work` in one transaction. The first one takes over the records of the version before."""
        from kustom_mcp.state import former

        def whole(connection: Connection) -> T:
            if not self._took_over:
                former.take_over(connection, self._state)
            return work(connection)

        try:
            answer = self._store.run(whole, locks=locks if self._took_over else ("former", *locks))
        except (StoreBusy, StoreUnavailable) as error:
            raise AuditUnavailable(str(error) or "busy") from None
        if not self._took_over:
            self._took_over = True
            former.clear(self._state)
        return answer


LONGEST_LEASE = 900.0
"""Seconds: no call takes longer, whatever KUSTOM_TIMEOUT is; its waiting for a person holds no lease."""


@lru_cache(maxsize=64)
def _of_order(account: str, environment: str, *, used: bool) -> Select[Any]:
    """The question for the intents of an order, and for calls that version 0.1 kept as `used`. Every read of an order
    asks it, so it is put together once."""
    from sqlalchemy import and_, bindparam, not_, or_

    from kustom_mcp.state.database.tables import INTENTS

    name = INTENTS.c.account
    before = and_(name.startswith(f"{environment}/", autoescape=True), not_(name.contains(":")))
    its_own = and_(INTENTS.c.order_id == bindparam("order_id"), or_(name == account, before))
    carried_out = and_(name == "", INTENTS.c.digest.in_(bindparam("former", expanding=True)))
    which = or_(its_own, carried_out) if used else its_own
    return INTENTS.select().where(which).order_by(INTENTS.c.sent, INTENTS.c.key)


def lock_of(account: str, key: str) -> str:
    """The name of the lock on one intent."""
    return f"intent {account} {key}"


def give_up_lease(connection: Connection, account: str, order_id: str, holder: str) -> None:
    """End a lease within a transaction."""
    from kustom_mcp.state.database.tables import LEASES

    mine = (LEASES.c.account == account, LEASES.c.order_id == order_id, LEASES.c.holder == holder)
    connection.execute(LEASES.delete().where(*mine))


def _may_go(before: Intent, seen: int | None, *, harmless: bool) -> bool:
    """Return whether a row may become sent: back at approved, or sent again by somebody who has looked."""
    if before.outcome is not None:
        return before.outcome in NOTHING_DONE or (harmless and before.outcome in EFFECT_THERE)
    return seen is not None and before.attempts == seen


def _former_files(state: Path | None) -> bool:
    return state is not None and (state / "intents").is_dir()
