"""The order book: the orders that this server has met, because Kustom has no search.

    book.note(order)            keep an order that was read; it is written in a while, beside the call
    book.doubt(order_id)        note that an order was written to, so that its entry may be outdated
    await book.ask(questions)   write everything noted so far, then ask the questions of one state

It fills itself from every order that is read through the server, and no call waits for it: notes are written in
batches, in a thread, and a book that cannot be written costs a line in the log. The fields of an entry are in `entry`,
the tables in `state.database.book_tables`, the database is described in `database`: `sqlite` or `postgres`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from kustom_mcp.book.completeness import complete_since
from kustom_mcp.book.database import BookDatabase, BookTransaction, BookUnavailable
from kustom_mcp.book.entry import DAY, WITHOUT_PEOPLE, BookEntry, entry_of
from kustom_mcp.book.people import PeopleDigests
from kustom_mcp.book.postgres import PostgresBook
from kustom_mcp.book.sqlite import FILE, SqliteBook
from kustom_mcp.state.account import Account
from kustom_mcp.state.database import Store
from kustom_mcp.state.threads import in_thread

if TYPE_CHECKING:
    from kustom_mcp.api.models import Order

__all__ = ["Book", "BookUnavailable"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_PAUSE = 0.25
"""Seconds that notes are collected before they are written together."""
_MOST_NOTES = 5_000
_PURGE_EVERY = 3600.0  # seconds
_CLOCKS_DIFFER = 60_000
"""Milliseconds. An entry that was read later than so long from now comes from a wrong clock: it is in doubt."""


class Book:
    """The book of one account. `days`: how long an order is kept after its creation; 0 keeps no book."""

    def __init__(
        self,
        database: BookDatabase,
        account: str,
        days: int,
        wall: Callable[[], float],
        newcomer: Account | None = None,
        people: PeopleDigests | None = None,
    ) -> None:
        self.on = days > 0
        self.place = database.place
        self.listening: str | None = None
        """The name of this process as a listener for webhooks: see `completeness`."""
        self.missed = 0
        """When this process last missed a webhook, in unix milliseconds, also before the store knows."""
        self.people = people or PeopleDigests(on=False, account=account, directory=None, shared=False)
        self._database = database
        self._account = account
        self._upgraded = False
        """Whether the references of orders from version 0.1 have been put in."""
        self._newcomer = newcomer
        """The account, until the books of earlier versions have been given to it."""
        self._days = days
        self._wall = wall
        self._notes: dict[str, BookEntry | int] = {}
        """Notes to be written, by order id: an entry, or the time since when the entry is in doubt."""
        self._named: dict[str, str] = {}
        """Orders that become hints if the book does not know them, each with its source."""
        self._announced: dict[str, None] = {}
        self._noted: anyio.Event | None = None
        self._writing = anyio.Lock()
        self._purged = float("-inf")
        self._failing = False

    @classmethod
    def of(
        cls,
        state: Path | None,
        shared: Store | None,
        account: Account,
        days: int,
        wall: Callable[[], float],
        *,
        people: bool = False,
        beside: Book | None = None,
    ) -> Book:
        """Open the book in the store that several machines share, in the state directory, or in memory. `people`:
        whether it keeps digests of people; `beside`: the book of another account in the same place."""
        of_all = PostgresBook(shared) if shared else SqliteBook(state / "book" / FILE if state else None)
        database: BookDatabase = beside._database if beside else of_all
        keys = state / "people" if state and not shared else None
        digests = PeopleDigests(on=people and days > 0, account=account.name, directory=keys, shared=shared is not None)
        return cls(database, account.name, days, wall, account, digests)

    def note(self, order: Order, source: str = "call", *, read_at: float | None = None) -> None:
        """Keep an order as it was read. Returns at once.

        `read_at`: the time of the request, in unix seconds; now where that is not given. An answer that took long is as
        old as its request: it must not win over a later one.
        """
        if not self.on:
            return
        entry = entry_of(order, source, self._wall() if read_at is None else read_at, people=self.people.of(order))
        if entry is not None:
            known = self._notes.get(entry.order_id, 0)
            if isinstance(known, int):
                self._note(entry.order_id, entry if known <= entry.read_at else entry.doubted(known))
            elif abs(known.read_at) <= entry.read_at:
                self._note(entry.order_id, entry)

    def hint(self, order_id: str, source: str) -> None:
        """Note an order that Kustom itself has named and that may not be known. Returns at once."""
        if self.on and len(self._named) < _MOST_NOTES:
            self._named.setdefault(order_id.lower(), source)
            if self._noted is not None:
                self._noted.set()

    def announce(self, order_id: str) -> None:
        """Note that the embedded sandbox has a new order. It is read before the next search: unlike a hint, which is
        stored, it is gone with the process, as the order is. Returns at once."""
        if self.on:
            self._announced[order_id] = None

    def announced(self) -> list[str]:
        """Return the announced orders that have not been read."""
        return list(self._announced)

    def heard(self, order_ids: Iterable[str]) -> None:
        """Forget announcements whose orders have been read."""
        for order_id in order_ids:
            self._announced.pop(order_id, None)

    def doubt(self, order_id: str, *, since: float | None = None) -> None:
        """Note that an order may have changed since this time (unix seconds; now where that is not given): only a
        reading that was requested later counts. Returns at once."""
        if self.on:
            moment, known = int((self._wall() if since is None else since) * 1000), self._notes.get(order_id, 0)
            if isinstance(known, int):
                self._note(order_id, max(known, moment))
            elif abs(known.read_at) <= moment:
                self._note(order_id, known.doubted(moment))

    async def ask(self, questions: Callable[[BookTransaction, int], T]) -> T:
        """Ask `questions`, after all earlier notes have been written. It gets the account's number as well, and runs
        in a thread. BookUnavailable."""
        await self._write_notes(asked=True)

        def work(tx: BookTransaction) -> T:
            account = self._number(tx)
            self.people.compare(tx, account)
            return questions(tx, account)

        return await in_thread(lambda: self._database.read(work))

    @staticmethod
    async def holders(books: Mapping[str, Book], order_id: str) -> list[str]:
        """Return the names of the books that know an order, with one question for all books of one database. A book
        that cannot be read knows nothing."""
        found: set[str] = set()
        together: dict[int, dict[str, str]] = {}
        for name, book in books.items():
            if isinstance(book._notes.get(order_id), BookEntry):
                found.add(name)
            if book.on:
                together.setdefault(id(book._database), {})[book._account] = name
        for accounts in together.values():
            database = books[next(iter(accounts.values()))]._database
            try:
                found.update(await in_thread(partial(_holders, database, accounts, order_id)))
            except BookUnavailable as error:
                log.warning("the order book cannot be read (%s: %s)", database.place, error)
        return [name for name in books if name in found]

    async def change(self, work: Callable[[BookTransaction, int], T]) -> T:
        """Run `work`, which writes, in the same way. BookUnavailable."""
        from kustom_mcp.book.writing import account_number

        await self._write_notes(asked=True)

        def recorded(tx: BookTransaction) -> T:
            account = account_number(tx, self._account)
            self.people.record(tx, account)
            return work(tx, account)

        return await in_thread(lambda: self._database.write(recorded))

    async def disputed(self, order_id: str) -> bool:
        """Return whether a signed webhook once told of a dispute on this order. Looking makes no book, and waits for
        nothing that is still to be written or brought up to date. BookUnavailable."""
        from kustom_mcp.book import hints
        from kustom_mcp.book.adopting import others

        if not self.on:
            return False
        newcomer, which = self._newcomer, order_id.lower()

        def belongs(name: str) -> bool:
            return name == self._account or (newcomer is not None and newcomer.was_named(name))

        def look(tx: BookTransaction) -> bool:
            return any(hints.disputed(tx, account, which) for account in others(tx, belongs))

        return await in_thread(lambda: self._database.exists() and self._database.read(look), abandon=True)

    def complete_since(self, tx: BookTransaction, account: int) -> int | None:
        """Return the time since when every new order is known, in unix milliseconds; None when that is unknown. See
        `completeness`."""
        oldest = self.oldest_kept(self._wall())
        return complete_since(tx, account, self.listening, self.time(), missed=self.missed, oldest=oldest)

    def count_shared(self, account: Account) -> int:
        """Count the orders of earlier versions that may be this account's or another's. Makes no book; blocks.
        BookUnavailable."""
        from kustom_mcp.book.adopting import orders_of

        return (
            self._database.read(lambda tx: orders_of(tx, account.may_have_been_named)) if self._database.exists() else 0
        )

    def currencies(self) -> set[str]:
        """Return the currencies of the orders that are known. Makes no book; blocks. BookUnavailable."""
        if not self.on or not self._database.exists():
            return set()
        known = "SELECT DISTINCT currency FROM book_sums JOIN book_kinds USING (kind) WHERE orders > 0 AND account = "
        rows = self._database.read(lambda tx: tx.rows(f"{known}:account", {"account": self._number(tx)}))
        return {str(row[0]) for row in rows if row[0]}

    async def exists(self) -> bool:
        """Return whether there is a book to read; looking makes none."""
        return await in_thread(self._database.exists)

    async def size(self) -> int:
        """Return the bytes that it takes. BookUnavailable."""
        return await in_thread(self._database.size)

    async def tidy(self) -> bool:
        """Shrink the file by all that was taken out. Return False where others kept that from happening now, and in
        a shared database, which does that by itself. BookUnavailable."""
        return await in_thread(self._database.tidy)

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Write notes for as long as this is open, and the rest at the end."""
        if not self.on:
            yield
            return
        self._noted = anyio.Event()
        problem: Exception | None = None
        try:
            await in_thread(lambda: self._load_key(quietly=True))  # the first use tries again, and tells
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep)
                group.start_soon(in_thread, self.people.warm_up)
                try:
                    yield
                except Exception as error:  # a task group would pass it on wrapped
                    problem = error
                group.cancel_scope.cancel()
            if problem is not None:
                raise problem
        finally:
            self._noted = None
            if not self._failing:
                with anyio.CancelScope(shield=True):  # the database has a time limit of its own
                    await self._tolerantly()
            self._database.close()

    def _note(self, order_id: str, note: BookEntry | int) -> None:
        self._notes.pop(order_id, None)
        self._notes[order_id] = note
        if len(self._notes) > _MOST_NOTES:  # the book has not been writable for long
            del self._notes[next(iter(self._notes))]
        if self._noted is not None:
            self._noted.set()

    async def _keep(self) -> None:
        while True:
            assert self._noted is not None
            await self._noted.wait()
            await anyio.sleep(_PAUSE)
            self._noted = anyio.Event()
            await self._tolerantly()

    async def _tolerantly(self) -> None:
        try:
            await self._write_notes()
        except BookUnavailable as error:
            if not self._failing:
                log.warning("the order book cannot be written (%s: %s); everything else goes on", self.place, error)
            self._failing = True
        except Exception:
            log.exception("the order book failed; everything else goes on")
        else:
            self._failing = False

    async def _write_notes(self, *, asked: bool = False) -> None:
        """Write all notes. `asked`: the book is used, whether there are notes or not."""
        async with self._writing:  # who asks waits for notes that are being written, too
            if (self._newcomer is not None or not self._upgraded) and (asked or self._notes or self._named):
                await in_thread(self._take_over)
                self._newcomer, self._upgraded = None, True
            notes, self._notes = self._notes, {}
            named, self._named = self._named, {}
            if not notes and not named:
                return
            try:
                await in_thread(lambda: self._write(notes, named))
            except (BookUnavailable, anyio.get_cancelled_exc_class()):
                self._notes, self._named = notes | self._notes, named | self._named
                raise

    def _take_over(self) -> None:
        """Bring what earlier versions kept up to date, and give the account their books of it. BookUnavailable."""
        from kustom_mcp.book.adopting import adopt, others
        from kustom_mcp.book.upgrading import put_in_references, unnamed

        account = self._newcomer
        if self.people.on:
            self._load_key()
        if not self._database.exists():
            return
        more = self._database.read(unnamed)
        while more:
            more = self._database.write(put_in_references)
        if account is not None:
            more = bool(self._database.read(lambda tx: others(tx, account.was_named)))
            while more:
                more = self._database.write(lambda tx: adopt(tx, account, self.time()))

    def _load_key(self, *, quietly: bool = False) -> None:
        """Load the key of the digests of people. Without it, orders are kept without people, until it is there."""
        try:
            self.people.load(self._database.write)
        except (BookUnavailable, OSError) as error:
            if not quietly:
                log.warning("people are not kept in the order book: the key of their digests is unreadable (%s)", error)

    def _write(self, notes: Mapping[str, BookEntry | int], named: Mapping[str, str]) -> None:
        from kustom_mcp.book import hints, imports, writing

        now = self._wall()
        due = now - self._purged > _PURGE_EVERY
        oldest = self.oldest_kept(now)

        def work(tx: BookTransaction) -> None:
            account = writing.account_number(tx, self._account)
            writing.doubt(tx, account, {name: since for name, since in notes.items() if isinstance(since, int)})
            self.people.record(tx, account)
            entries = kept(notes.values(), oldest)
            writing.put(tx, account, map(_impersonal, entries) if self.people.lost else entries)
            known = imports.read_since(tx, account, named, 0) if named else ()
            new = [hints.Hint(order_id, source) for order_id, source in named.items() if order_id not in known]
            hints.add(tx, account, new, self.time())
            if due:
                writing.forget_before(tx, account, oldest)
                writing.doubt_after(tx, account, int(now * 1000) + _CLOCKS_DIFFER)

        self._database.write(work)
        if due:
            self._purged = now

    def oldest_kept(self, now: float) -> int:
        """Return the unix milliseconds of the oldest creation that is kept."""
        return int(now * 1000) - self._days * DAY

    def time(self) -> int:
        """Return unix milliseconds by the clock of the store, once it has been opened."""
        return int((self._wall() + self._database.skew) * 1000)

    def entry(self, order: Order, source: str, read_at: float, *, disputed: bool = False) -> list[BookEntry]:
        """Return the entry of an order that was requested at this time (unix seconds), in a list; an empty one if it
        is not kept."""
        made = entry_of(order, source, read_at, disputed=disputed, people=self.people.of(order))
        return kept([made] if made else [], self.oldest_kept(self._wall()))

    def _number(self, tx: BookTransaction) -> int:
        """Return the account's number; 0, which is never given out, while nothing of it is known."""
        found = tx.rows("SELECT account FROM book_accounts WHERE name = :name", {"name": self._account})
        return int(found[0][0]) if found else 0


def _impersonal(entry: BookEntry) -> BookEntry:
    """Return an entry without the digests of its people."""
    return entry._replace(kind=entry.kind._replace(detail=WITHOUT_PEOPLE), people=None)


def kept(notes: Iterable[BookEntry | int], oldest: int) -> list[BookEntry]:
    """Return the orders that are young enough. One whose creation is not known counts from when it was read."""
    entries = (note for note in notes if not isinstance(note, int))
    return [entry for entry in entries if (entry.created_at or abs(entry.read_at)) >= oldest]


def _holders(database: BookDatabase, accounts: Mapping[str, str], order_id: str) -> list[str]:
    """The names of the accounts whose book knows an order. `accounts`: the name of each by that of the account."""
    if not database.exists():
        return []
    known = "SELECT account FROM book_accounts WHERE name = :account"
    statement = f"SELECT number FROM book WHERE account = ({known}) AND order_id = :order_id"

    def work(tx: BookTransaction) -> list[str]:
        return [
            name for account, name in accounts.items() if tx.rows(statement, {"order_id": order_id, "account": account})
        ]

    return database.read(work)
