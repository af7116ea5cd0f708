"""The inbox: hints are kept in the book's store before their sender is answered, and followed one after the other.

A 2xx is a promise: Kustom does not send that event again. So it is given only when the hint is in the store, and a hint
for which there is no room, or no store, is answered with 503. Requests that wait for the store are written together; so
many may wait, and of those that nobody signed only some. One task reads, at the pace that `book.hints` gives to all
replicas together, in a lane like any other caller's, and longer apart while Kustom does not answer well.
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
from kustom_mcp.app.fair_queue import Crowded
from kustom_mcp.book import BookUnavailable, hints
from kustom_mcp.book import completeness as feed
from kustom_mcp.book.hints import Claimed, Hint
from kustom_mcp.book.sqlite import Page
from kustom_mcp.transport.webhooks.events import Notice

T = TypeVar("T")

CALLER = "webhooks"
READ_SECONDS = 20.0
LOOK_EVERY = 5.0
"""Seconds after which hints of other replicas are looked for."""
LONGEST_PAUSE = 60.0
"""Seconds between two reads while Kustom does not answer well."""
AT_ONCE = 200
MOST_WAITING = {True: 1_000, False: 100}
"""Requests that wait for the store."""
WARN_EVERY = 60.0  # seconds

log = logging.getLogger(__name__)


class RepeatedWarnings:
    """Warnings about requests that anybody can send: each at first, then at most once a minute, with a count."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        """When it was said last, and how often it would have been since."""

    def warn(self, sentence: str) -> None:
        """Log a sentence of ours."""
        now = self._clock()
        said, since = self._said.get(sentence, (float("-inf"), 0))
        if now - said < WARN_EVERY:
            self._said[sentence] = said, since + 1
            return
        log.warning("%s%s", sentence, f" ({since} more since this was said last)" if since else "")
        self._said[sentence] = now, 0


class NoRoom(Exception):
    """The hint was not kept."""


class _Given:
    """A notice that waits for the store."""

    def __init__(self, notice: Notice, hint: Hint) -> None:
        self.notice = notice
        self.hint = hint
        self.kept = False
        self.done = anyio.Event()


class Inbox:
    """The hints of one process. Use `keep` while `opened()` is entered, which needs the app's lifespan around it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._book = app.book
        self._listens = bool(app.settings.hooks_secret)
        """Whether what is heard can be verified; otherwise nothing is complete."""
        self._name = secrets.token_hex(8)
        self._given: list[_Given] = []
        self._came = anyio.Event()
        self._kept = anyio.Event()
        self._warnings = RepeatedWarnings(app.clock)
        self._missed = 0
        """How often something was lost."""
        self._written = 0
        """As far as the store knows."""

    async def keep(self, notice: Notice) -> None:
        """Keep the hint, safely. NoRoom."""
        hint = notice.hint
        scope = self._app.settings.order_scope
        if hint is None or (scope is not None and hint.order_id not in scope):
            return
        waiting = sum(given.hint.verified == hint.verified for given in self._given)
        if waiting >= MOST_WAITING[hint.verified]:
            self.miss(hint)
            raise NoRoom
        given = _Given(notice, hint)
        self._given.append(given)
        self._came.set()
        await given.done.wait()
        if not given.kept:
            raise NoRoom

    def miss(self, hint: Hint | None = None) -> None:
        """An event was lost; nothing is complete any more, unless it was only a hint of nobody knows whom."""
        if hint is None or hint.verified:
            self.doubt()
            self._came.set()

    def doubt(self) -> None:
        """An event that may have been Kustom's was lost. The store is told with the next event or renewal, so that a
        flood of these writes no more than without them."""
        if self._listens:
            self._missed += 1
            self._book.missed = self._book.time()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Keep and follow hints for as long as this is entered."""
        if self._listens:
            self._book.listening = self._name
        async with anyio.create_task_group() as group:
            group.start_soon(self._write)
            group.start_soon(self._read)
            if self._listens:
                group.start_soon(self._listen)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._leave()

    async def _write(self) -> None:
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            while self._given or self._missed > self._written:
                batch, self._given = self._given[:AT_ONCE], self._given[AT_ONCE:]
                try:
                    works = await self._write_down(batch)
                finally:
                    for given in batch:
                        given.done.set()
                self._kept.set()
                if not works:
                    break

    async def _write_down(self, batch: list[_Given]) -> bool:
        """Whether the store works."""
        missed = self._missed
        try:
            refused = await self._put(batch, missed > self._written)
        except BookUnavailable as error:
            self._lost(batch)
            self._warnings.warn(f"webhooks cannot be kept now ({self._book.place}: {error})")
            return False
        except anyio.get_cancelled_exc_class():
            self._lost(batch)
            raise
        self._written = missed
        for given in batch:
            given.kept = given.hint not in refused
        if refused:
            self._warnings.warn("too many orders were named at once; some are not followed")
        return True

    def _lost(self, given: list[_Given]) -> None:
        if any(one.hint.verified for one in given):
            self.doubt()

    async def _put(self, batch: list[_Given], missed: bool) -> set[Hint]:
        """Those for which there was no room."""

        def work(page: Page, account: int) -> set[Hint]:
            now = self._book.time()
            refused = hints.add(page, account, [given.hint for given in batch], now)
            if missed or any(hint.verified for hint in refused):
                feed.interrupt(page, account)
            elif any(given.notice.created and given.hint.verified for given in batch):
                feed.begin(page, account, self._name, now)
            return refused

        return await self._change(work)

    async def _listen(self) -> None:
        while True:
            try:
                await self._change(lambda page, account: feed.listen(page, account, self._name, self._book.time()))
            except BookUnavailable:
                log.debug("the lease of this listener cannot be renewed now")
            if self._missed > self._written:
                self._came.set()
            await anyio.sleep(feed.RENEW_EVERY)

    async def _leave(self) -> None:
        self._lost(self._given)
        for given in self._given:
            given.done.set()
        missed = self._missed > self._written

        def work(page: Page, account: int) -> None:
            if missed:
                feed.interrupt(page, account)
            feed.leave(page, account, self._name, self._book.time())

        if self._listens:
            self._book.listening = None
            try:
                await self._change(work)
            except BookUnavailable:
                log.debug("the lease of this listener runs out by itself")

    async def _read(self) -> None:
        pause = 0.0
        while True:
            self._kept = anyio.Event()
            try:
                claimed, wait = await self._claim()
            except BookUnavailable:
                claimed, wait = None, LOOK_EVERY
            if claimed is None:
                await anyio.sleep(hints.PACE / 1000)  # a flood of news does not turn this faster
                with anyio.move_on_after(min(wait, LOOK_EVERY) - hints.PACE / 1000):
                    await self._kept.wait()
                continue
            try:
                answered = await self._follow(claimed)
            except BookUnavailable:  # its claim runs out, and it is followed again
                answered = True
            pause = 0.0 if answered else min(LONGEST_PAUSE, 2 * pause + 1)
            await anyio.sleep(pause)

    async def _claim(self) -> tuple[Claimed | None, float]:
        """The next hint, or seconds until there may be one. BookUnavailable."""
        claimed, wait = await self._change(lambda page, account: hints.claim(page, account, self._book.time()))
        return claimed, wait / 1000

    async def _change(self, work: Callable[[Page, int], T]) -> T:
        """Do this in the book. BookUnavailable, whatever goes wrong: these tasks live as long as the server."""
        try:
            return await self._book.change(work)
        except BookUnavailable:
            raise
        except Exception:
            log.exception("the hints of the order book failed; everything else goes on")
        raise BookUnavailable("it failed")

    async def _follow(self, claimed: Claimed) -> bool:
        """Read the order of a hint; whether Kustom answered. BookUnavailable."""
        hint, app, book = claimed.hint, self._app, self._book
        asked = app.wall()
        try:
            async with app.lanes.lane(CALLER, within=READ_SECONDS):
                asked = app.wall()
                order = await app.client.read(GET_ORDER, deadline=app.clock() + READ_SECONDS, order_id=hint.order_id)
        except Exception as error:
            if not isinstance(error, OmsError | Crowded):
                log.exception("reading an order that was named failed")
            end = hints.absent if _absent(error) else hints.unread
            await self._change(lambda page, account: end(page, account, claimed, book.time()))
            if end is hints.absent:  # what the book has of it may not be so any more
                book.doubt(hint.order_id, since=asked)
            return end is hints.absent or isinstance(error, ProtocolError)
        entries = book.entry(order, hint.source, asked, disputed=hint.disputed)
        await self._change(lambda page, account: hints.followed(page, account, claimed, entries, book.time()))
        return True


def _absent(error: Exception) -> bool:
    """Whether Kustom said that there is no such order for these credentials."""
    return isinstance(error, NotFound) or (
        isinstance(error, Refused) and error.status == 403 and bool(error.error_code)
    )
