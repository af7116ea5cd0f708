"""A queue of webhook events: stored as hints before the sender is answered, then followed one after the other.

A 2xx is a promise: Kustom does not send that event again. So it is given only when the hint is in the store; a hint
that cannot be stored is answered with 503. Requests that wait for the store are written together, at most MOST_WAITING
of them, and fewer of unsigned ones. One task reads the orders, at the pace that `book.hints` gives to all replicas
together, in a slot like any other caller's, and with longer pauses while Kustom answers with errors.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError, ProtocolError, Refused
from kustom_mcp.app.app import App
from kustom_mcp.app.fair_queue import QueueTimeout
from kustom_mcp.book import BookUnavailable, completeness, hints, repeats
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.hints import ClaimedHint, Hint
from kustom_mcp.transport.webhooks.events import WebhookEvent

T = TypeVar("T")

CALLER = "webhooks"
READ_SECONDS = 20.0
LOOK_EVERY = 5.0
"""Seconds between two looks for hints of other replicas."""
LONGEST_PAUSE = 60.0
"""Seconds at most between two reads while Kustom answers with errors."""
AT_ONCE = 200
MOST_WAITING = {True: 1_000, False: 100}
"""Requests that may wait for the store, by whether they are signed."""
WARN_EVERY = 60.0  # seconds
TIDY_EVERY = 3600.0  # seconds

log = logging.getLogger(__name__)


class RepeatedWarnings:
    """A log of warnings that any sender can cause: each at first, then at most once a minute, with a count."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        """Per sentence: the time of its last line in the log, and how many were left out since."""

    def warn(self, sentence: str) -> None:
        """Log a sentence of ours."""
        now = self._clock()
        said, since = self._said.get(sentence, (float("-inf"), 0))
        if now - said < WARN_EVERY:
            self._said[sentence] = said, since + 1
            return
        log.warning("%s%s", sentence, f" ({since} more since this was said last)" if since else "")
        self._said[sentence] = now, 0


class QueueFull(Exception):
    """The hint was not kept."""


class _Waiting:
    """An event that waits for the store."""

    def __init__(self, event: WebhookEvent, hint: Hint) -> None:
        self.event = event
        self.hint = hint
        self.kept = False
        self.new = True
        self.done = anyio.Event()


class EventQueue:
    """The events of one process. Use `put` inside `opened()`, and that inside the app's lifespan."""

    def __init__(self, app: App, told: Callable[[str], None] = lambda _: None) -> None:
        """`told` gets the id of each order of which an event spoke and which could be read."""
        self._app = app
        self._told = told
        self._book = app.book
        self._listens = bool(app.settings.hooks_secret)
        """True if signatures are verified; without them the book is never complete."""
        self._name = secrets.token_hex(8)
        self._retry = app.settings.hooks_retry * 3_600_000
        self._tidied = float("-inf")
        self._waiting: list[_Waiting] = []
        self._arrived = anyio.Event()
        self._stored = anyio.Event()
        self._warnings = RepeatedWarnings(app.clock)
        self._lost_count = 0
        """Number of events that were lost."""
        self._lost_reported = 0
        """Number of them that the store has been told of."""

    async def put(self, event: WebhookEvent) -> bool:
        """Store the hint of an event before returning, and return whether the event is new. QueueFull when that is
        impossible."""
        hint = event.hint
        scope = self._app.settings.order_scope
        if hint is None or (scope is not None and hint.order_id not in scope):
            return True
        waiting = sum(waiting_event.hint.verified == hint.verified for waiting_event in self._waiting)
        if waiting >= MOST_WAITING[hint.verified]:
            self.lose(hint)
            raise QueueFull
        given = _Waiting(event, hint)
        self._waiting.append(given)
        self._arrived.set()
        await given.done.wait()
        if not given.kept:
            raise QueueFull
        return given.new

    def lose(self, hint: Hint | None = None) -> None:
        """Note that an event was lost. The book is incomplete from now on, unless the event was unsigned."""
        if hint is None or hint.verified:
            self.note_gap()
            self._arrived.set()

    def note_gap(self) -> None:
        """Note that an event was lost that may have been Kustom's.

        The store is told with the next event or renewal, so that a flood of these causes no more writes.
        """
        if self._listens:
            self._lost_count += 1
            self._book.missed = self._book.time()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Store events and follow their hints for as long as this is entered."""
        if self._listens:
            self._book.listening = self._name
        async with anyio.create_task_group() as group:
            group.start_soon(self._store_waiting)
            group.start_soon(self._follow_hints)
            if self._listens:
                group.start_soon(self._listen)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._leave()

    async def _store_waiting(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._waiting or self._lost_count > self._lost_reported:
                batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                try:
                    works = await self._store_batch(batch)
                finally:
                    for given in batch:
                        given.done.set()
                self._stored.set()
                if not works:
                    break

    async def _store_batch(self, batch: list[_Waiting]) -> bool:
        """Store a batch of events. False when the store cannot be used."""
        missed = self._lost_count
        try:
            refused = await self._add(batch, missed > self._lost_reported)
        except BookUnavailable as error:
            self._note_lost(batch)
            self._warnings.warn(f"webhooks cannot be kept now ({self._book.place}: {error})")
            return False
        except anyio.get_cancelled_exc_class():
            self._note_lost(batch)
            raise
        self._lost_reported = missed
        for given in batch:
            given.kept = given.hint not in refused
        if refused:
            self._warnings.warn("too many orders were named at once; some are not followed")
        return True

    def _note_lost(self, given: list[_Waiting]) -> None:
        if any(one.hint.verified for one in given):
            self.note_gap()

    async def _add(self, batch: list[_Waiting], missed: bool) -> set[Hint]:
        """Add the hints of new events to the store; return those that found no room."""

        def work(tx: BookTransaction, account: int) -> set[Hint]:
            now = self._book.time()
            seen = repeats.known(tx, account, filter(None, (given.event.repeat for given in batch)))
            new: list[_Waiting] = []
            for given in batch:
                given.new = given.event.repeat not in seen
                if given.new:
                    new.append(given)
                    seen.update(filter(None, (given.event.repeat,)))
            refused = hints.add(tx, account, [given.hint for given in new], now)
            kept = [given.event.repeat for given in new if given.hint not in refused]
            repeats.remember(tx, account, filter(None, kept), now)
            if missed or any(hint.verified for hint in refused):
                completeness.interrupt(tx, account)
            elif any(given.event.created and given.hint.verified for given in new):
                completeness.begin(tx, account, self._name, now, self._retry)
            return refused

        return await self._change(work)

    async def _listen(self) -> None:
        while True:
            try:
                await self._change(self._renew)
            except BookUnavailable:
                log.debug("the lease of this listener cannot be renewed now")
            if self._lost_count > self._lost_reported:
                self._arrived.set()
            await anyio.sleep(completeness.RENEW_EVERY)

    def _renew(self, tx: BookTransaction, account: int) -> None:
        now = self._book.time()
        completeness.listen(tx, account, self._name, now, self._retry)
        if self._app.clock() - self._tidied > TIDY_EVERY:
            self._tidied = self._app.clock()
            repeats.forget_before(tx, account, now - self._retry - repeats.LEEWAY)

    async def _leave(self) -> None:
        self._note_lost(self._waiting)
        for given in self._waiting:
            given.done.set()
        missed = self._lost_count > self._lost_reported

        def work(tx: BookTransaction, account: int) -> None:
            if missed:
                completeness.interrupt(tx, account)
            completeness.leave(tx, account, self._name, self._book.time())

        if self._listens:
            self._book.listening = None
            try:
                await self._change(work)
            except BookUnavailable:
                log.debug("the lease of this listener runs out by itself")

    async def _follow_hints(self) -> None:
        pause = 0.0
        while True:
            self._stored = anyio.Event()
            try:
                claimed, wait = await self._claim()
            except BookUnavailable:
                claimed, wait = None, LOOK_EVERY
            if claimed is None:
                await anyio.sleep(hints.READ_EVERY / 1000)  # a flood of news does not turn this faster
                with anyio.move_on_after(min(wait, LOOK_EVERY) - hints.READ_EVERY / 1000):
                    await self._stored.wait()
                continue
            try:
                answered = await self._follow(claimed)
            except BookUnavailable:  # its claim runs out, and it is followed again
                answered = True
            pause = 0.0 if answered else min(LONGEST_PAUSE, 2 * pause + 1)
            await anyio.sleep(pause)

    async def _claim(self) -> tuple[ClaimedHint | None, float]:
        """Claim the next hint, or return the seconds until there may be one. BookUnavailable."""
        claimed, wait = await self._change(lambda tx, account: hints.claim(tx, account, self._book.time()))
        return claimed, wait / 1000

    async def _change(self, work: Callable[[BookTransaction, int], T]) -> T:
        """Run a change of the book. Any error becomes BookUnavailable: these tasks live as long as the server."""
        try:
            return await self._book.change(work)
        except BookUnavailable:
            raise
        except Exception:
            log.exception("the hints of the order book failed; everything else goes on")
        raise BookUnavailable("it failed")

    async def _follow(self, claimed: ClaimedHint) -> bool:
        """Read the order of a hint. False when Kustom did not answer. BookUnavailable."""
        hint, app, book = claimed.hint, self._app, self._book
        asked = app.wall()
        try:
            async with app.concurrency.slot(CALLER, within=READ_SECONDS):
                asked = app.wall()
                order = await app.client.read(GET_ORDER, deadline=app.clock() + READ_SECONDS, order_id=hint.order_id)
        except Exception as error:
            if not isinstance(error, OmsError | QueueTimeout):
                log.exception("reading an order that was named failed")
            end = hints.absent if _absent(error) else hints.unread
            await self._change(lambda tx, account: end(tx, account, claimed, book.time()))
            if end is hints.absent:  # what the book has of it may not be so any more
                book.doubt(hint.order_id, since=asked)
            return end is hints.absent or isinstance(error, ProtocolError)
        entries = book.entry(order, hint.source, asked, disputed=hint.disputed)
        await self._change(lambda tx, account: hints.followed(tx, account, claimed, entries, book.time()))
        self._told(hint.order_id)
        return True


def _absent(error: Exception) -> bool:
    """Return whether Kustom says that these credentials have no such order."""
    return isinstance(error, NotFound) or (
        isinstance(error, Refused) and error.status == 403 and bool(error.error_code)
    )
