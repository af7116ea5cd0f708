"""A bulk read: many orders into the book, at a limited rate and in batches, until it is done or told to stop.

    bulk_read = BulkRead(app, on_outcome, per_second=5)
    await bulk_read.run(pieces)            pieces: an asynchronous generator of `Piece`

About five reads a second leave Kustom's rate limit to the servers that run beside. A pause that Kustom asks for holds
up all reads, and an order that met it is asked for again. Orders are written every second, together with the caller's
own progress: so a crash costs a second, and nothing is read twice after an orderly stop.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import anyio

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import AuthenticationFailed, NotFound, OmsError, RateLimited, Refused
from kustom_mcp.app.app import App
from kustom_mcp.book.database import BookTransaction, BookUnavailable
from kustom_mcp.book.entry import BookEntry, entry_of
from kustom_mcp.cli.book.runner import patiently

PER_SECOND = 5.0
"""Reads a second."""
AT_ONCE = 8
"""Reads in flight."""
WRITE_EVERY = 1.0  # seconds
GRACE = 5.0
"""Seconds that reads in flight have when it is told to stop."""
TRIES = 10
"""Attempts to read an order while Kustom's rate limit refuses it."""
GIVE_UP = 5
"""Reads in a row that may fail for reasons that have nothing to do with the order, before the run ends."""

SCOPE = "it is out of KUSTOM_ORDER_SCOPE; nothing was sent"
MISSING = "Kustom has no such order for these credentials: it does not exist, or is another merchant's"
TOO_OLD = "it was created before the days that KUSTOM_BOOK_DAYS keeps"
IMPOSSIBLE = "its amounts are beyond what an order can have"


class ReadOutcome(Enum):
    """The outcome of a piece: in the book; not to be had, now or later; not read, but it may be had later."""

    READ = "read"
    REJECTED = "rejected"
    UNREAD = "unread"


Then = Callable[[BookTransaction, int, ReadOutcome, list[BookEntry]], None]
"""Writes more about an order in the same transaction. Gets the account's number, the outcome, and one entry or none."""


class Piece(NamedTuple):
    """An order to read. `key` is the caller's own: a line, or a number. `disputed`: a dispute was announced."""

    key: int
    order_id: str
    source: str
    disputed: bool = False
    then: Then | None = None


OnOutcome = Callable[[Piece, ReadOutcome, str], None]
"""Gets a piece, its outcome, and the reason."""
Along = Callable[[BookTransaction, int], None]
"""Writes more in the same transaction. Gets the account's number."""


@dataclass(frozen=True)
class _PieceResult:
    ends: ReadOutcome
    why: str = ""
    entry: BookEntry | None = None


class BulkRead:
    """One run. BookUnavailable and exceptions of `pieces` end it and pass through."""

    def __init__(
        self,
        app: App,
        on_outcome: OnOutcome,
        *,
        per_second: float = PER_SECOND,
        along: Callable[[], Along] | None = None,
    ) -> None:
        self._app = app
        self._on_outcome = on_outcome
        self._along = along
        self._pause = 0.0 if app.settings.sandboxed else 1 / per_second
        self._next = -math.inf
        self._entries: list[BookEntry] = []
        self._thens: list[tuple[Then, ReadOutcome, list[BookEntry]]] = []
        self._dirty = False
        self._failures = 0
        self._stopping = anyio.Event()
        self._turn = anyio.Lock()
        self._scope = anyio.CancelScope()
        self._problem: Exception | None = None
        self.stopped: str | None = None
        """Why it ended before its time."""

    def stop(self, why: str) -> None:
        """Begin no more reads, and give those in flight a moment."""
        if self.stopped is None:
            self.stopped = why
            self._stopping.set()
            self._scope.deadline = anyio.current_time() + GRACE

    def changed(self) -> None:
        """Note that there is something to write besides orders."""
        self._dirty = True

    async def run(self, pieces: AsyncGenerator[Piece]) -> None:
        """Read all pieces, or as many as there is time for. Nothing that was read is lost."""
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._write_now_and_then)
                    async with anyio.create_task_group() as readers:
                        for _ in range(AT_ONCE):
                            readers.start_soon(self._read_some, pieces)
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await pieces.aclose()
                if self._problem is None:
                    await self._write()
        if self._problem is not None:
            raise self._problem

    async def _read_some(self, pieces: AsyncGenerator[Piece]) -> None:
        """Read pieces one after the other: the task of one reader."""
        try:
            while not self._stopping.is_set():
                async with self._turn:  # of the generator, and of the pace
                    piece = await anext(pieces, None)
                    hidden = piece is not None and self._hides(piece.order_id)
                    if piece is None or not (hidden or await self._due()):
                        return
                result = _PieceResult(ReadOutcome.REJECTED, SCOPE) if hidden else await self._read(piece)
                if result is not None:
                    self._take(piece, result)
        except Exception as error:
            self._fail(error)

    async def _due(self) -> bool:
        """Wait until the next read may begin. False: none may any more."""
        while not self._stopping.is_set():
            wait = max(self._next - anyio.current_time(), self._app.client.cool_down.remaining)
            if wait <= 0:
                self._next = anyio.current_time() + self._pause
                return True
            with anyio.move_on_after(wait):
                await self._stopping.wait()
        return False

    def _hides(self, order_id: str) -> bool:
        scope = self._app.settings.order_scope
        return scope is not None and order_id not in scope

    async def _read(self, piece: Piece) -> _PieceResult | None:
        """Read the order of a piece. None when told to stop before a request was sent."""
        tries = 0
        while True:
            tries += 1
            asked, deadline = self._app.wall(), self._app.clock() + self._app.settings.timeout
            try:
                order = await self._app.client.read(GET_ORDER, deadline=deadline, order_id=piece.order_id)
            except NotFound:
                self._app.book.doubt(piece.order_id, since=asked)
                return _PieceResult(ReadOutcome.REJECTED, MISSING)
            except RateLimited as error:
                if tries == TRIES:
                    return self._not_read(error)
                if not await self._due():
                    return None
            except OmsError as error:
                if isinstance(error, Refused) and not isinstance(error, AuthenticationFailed):
                    return _PieceResult(ReadOutcome.REJECTED, str(error))
                return self._not_read(error)
            else:
                people = self._app.book.people.of(order)
                return self._found(entry_of(order, piece.source, asked, disputed=piece.disputed, people=people))

    def _found(self, entry: BookEntry | None) -> _PieceResult:
        if entry is None:
            return _PieceResult(ReadOutcome.REJECTED, IMPOSSIBLE)
        if (entry.created_at or entry.read_at) < self._app.book.oldest_kept(self._app.wall()):
            return _PieceResult(ReadOutcome.REJECTED, TOO_OLD)
        return _PieceResult(ReadOutcome.READ, entry=entry)

    def _not_read(self, problem: OmsError) -> _PieceResult:
        self._failures += 1
        if self._failures >= GIVE_UP or (isinstance(problem, AuthenticationFailed) and problem.status == 401):
            self.stop(str(problem))
        return _PieceResult(ReadOutcome.UNREAD, str(problem))

    def _take(self, piece: Piece, result: _PieceResult) -> None:
        if result.ends is not ReadOutcome.UNREAD:
            self._failures = 0
        if result.entry is not None:
            self._entries.append(result.entry)
        if piece.then is not None:
            self._thens.append((piece.then, result.ends, [result.entry] if result.entry else []))
        self._dirty = True
        self._on_outcome(piece, result.ends, result.why)

    def _fail(self, error: Exception) -> None:
        self._problem = self._problem or error
        self.stop("")

    async def _write_now_and_then(self) -> None:
        try:
            while True:
                await anyio.sleep(WRITE_EVERY)
                with anyio.CancelScope(shield=True):
                    await self._write()
        except BookUnavailable as error:
            self._fail(error)

    async def _write(self) -> None:
        """Write the orders that were read, and the caller's progress, in one transaction. BookUnavailable."""
        from kustom_mcp.book.writing import put

        if not self._dirty:
            return
        entries, self._entries, self._dirty = self._entries, [], False
        thens, self._thens = self._thens, []
        along = self._along() if self._along else None

        def work(tx: BookTransaction, account: int) -> None:
            put(tx, account, entries)
            for then, ends, put_in in thens:
                then(tx, account, ends, put_in)
            if along is not None:
                along(tx, account)

        await patiently(lambda: self._app.book.change(work))
