"""A search of the order book: what is stale is read again, then a page, totals, and how much the book knows.

The book is never taken for the whole truth: an open order that was read too long ago is read again before it is
shown, and where that was not possible the row says so.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import anyio

from kustom_mcp.book import BookUnavailable, Entry, feed
from kustom_mcp.book.entry import order_of, stamp
from kustom_mcp.book.finding import Known, Search
from kustom_mcp.book.ordering import Place, place
from kustom_mcp.book.shelf import DAMAGED, Page
from kustom_mcp.book.wanted import By, Wanted
from kustom_mcp.call import Call
from kustom_mcp.cursor import NEXT, next_cursor
from kustom_mcp.cursor import place_of as read_cursor
from kustom_mcp.oms.endpoints import GET_ORDER
from kustom_mcp.oms.errors import OmsError
from kustom_mcp.result import Code, Failure, Json
from kustom_mcp.view import row

AT_MOST = 100
"""Stale orders that one call reads again."""
PAUSE = 0.2
"""Seconds between two of these reads: about five a second leave Kustom's rate limit to others."""
_RESERVE = 3.0
"""Seconds of the call's time that are kept for the answer; a quarter of it where that is less."""


class Found(NamedTuple):
    """What a search found, of one state of the book."""

    entries: list[Entry]
    totals: list[dict[str, Json]]
    known: Known
    complete_since: int | None
    """Unix milliseconds."""


@dataclass(frozen=True)
class Searching:
    """One search. `oldest`: unix milliseconds; what was read before is stale."""

    call: Call
    wanted: Wanted
    order_by: By
    limit: int
    after: Place | None
    oldest: int

    async def found(self) -> Found:
        """Read again what is stale, then search. Failure when the book cannot be used."""
        await _learn(self.call)
        scope, book = self.call.policy.scope, self.call.app.book

        def stale(page: Page, account: int) -> list[str]:
            return Search(page, account, self.wanted, scope).stale(self.order_by, AT_MOST, self.oldest)

        def all_of_it(page: Page, account: int) -> Found:
            search = Search(page, account, self.wanted, scope)
            entries = search.page(self.order_by, self.limit + 1, self.after)
            since = feed.complete_since(page, account, book.listening, book.time())
            return Found(entries, search.totals(), search.known(self.oldest), since)

        try:
            await self._refresh(await book.ask(stale))
            return await book.ask(all_of_it)
        except BookUnavailable as error:
            raise _unusable(book.place, error) from None

    async def _refresh(self, order_ids: list[str]) -> None:
        done, stopped = 0, False

        async def read(order_id: str) -> None:
            nonlocal done, stopped
            try:
                await self.call.order(order_id)
            except Failure as failure:
                stopped = stopped or failure.code is not Code.NOT_FOUND
            done += 1
            await self.call.context.session.report_progress(done, len(order_ids))

        app = self.call.app
        reserve = min(_RESERVE, app.settings.timeout / 4)
        with anyio.move_on_after(max(0.0, self.call.time_left - reserve)):  # a read that hangs is given up
            async with anyio.create_task_group() as group:
                for index, order_id in enumerate(order_ids):
                    if index:
                        await app.sleep(0 if app.settings.sandboxed else PAUSE)
                    if stopped or self.call.time_left < reserve:
                        break
                    group.start_soon(read, order_id)

    def rows(self, entries: list[Entry]) -> list[dict[str, Json]]:
        """Compact rows, as kustom_get_orders has them. One that may have changed says so."""
        now = self.call.app.now()
        return [
            row("ok", order_of(entry), now=now)
            | ({"disputed": True} if entry.kind.disputed else {})
            | ({"stale": True} if self.is_stale(entry) else {})
            for entry in entries
        ]

    def is_stale(self, entry: Entry) -> bool:
        return entry.read_at < (self.oldest if entry.kind.open else 0)

    def coverage(self, found: Found) -> dict[str, Json]:
        known, since = found.known, found.complete_since
        complete: dict[str, Json] = {} if since is None else {"complete_since": stamp(since)}
        oldest = {"oldest_read": stamp(known.oldest_read)} if known.oldest_read else {}
        return {"known": known.orders} | complete | {"sources": known.sources, "stale": known.stale} | oldest


def summary(found: Found, wanted: Wanted, shown: int, stale: int) -> str:
    """How many match of how many that are known; never that there are no others."""
    matching = sum(group["orders"] for group in found.totals)
    known = f"the {found.known.orders:,} orders I know" if found.known.orders != 1 else "the 1 order I know"
    part = f", {shown} are shown" if shown < matching else ""
    old = f"; {stale} of those shown could not be read again and may have changed" if stale else ""
    whole = " Amounts are of whole orders: refunded_amount counts earlier refunds too."
    sums = whole if matching and wanted.refunded_from is not None else ""
    return f"{matching:,} of {known} match{'es' if matching == 1 else ''}{part}{old}.{sums}"


def next_step(found: Found, payload: dict[str, Json]) -> str | None:
    if "next_cursor" in payload:
        return NEXT
    if found.totals:
        return None
    return (
        "Say that among the orders this server knows none matches, not that there is none. With an order id "
        "kustom_get_order reads any order, and then it is known."
    )


def cursor_at(arguments: Mapping[str, Any], entry: Entry, order_by: By) -> str:
    """Where the next page of this search begins. It holds what the row shows."""
    part, value, order_id = place(order_by, entry)
    short = base64.urlsafe_b64encode(UUID(order_id).bytes).decode().rstrip("=")
    return next_cursor(arguments, part, value, short)


def place_of(text: str, arguments: Mapping[str, Any]) -> Place:
    """The last order that was shown. Failure INVALID_ARGUMENT."""
    part, value, short = read_cursor(text, arguments, int, int, _order_id)
    return Place(part, value, short)


def _order_id(short: str) -> str:
    """ValueError for what is none."""
    return str(UUID(bytes=base64.urlsafe_b64decode(f"{short}==")))


async def _learn(call: Call) -> None:
    """The embedded sandbox announces its orders as Kustom's webhooks would; they are read now."""
    app = call.app
    if app.simulator is None or not app.book.on:
        return
    for order_id in app.simulator.store.announced():
        try:
            order = await app.client.read(GET_ORDER, deadline=app.clock() + call.time_left, order_id=order_id)
        except OmsError:
            continue
        app.book.note(order, feed.WEBHOOK)


_REMEDY = {False: "", True: ", and to delete the folder `book` there: then a new book is begun"}


def _unusable(place: str, error: BookUnavailable) -> Failure:
    damaged = str(error).startswith(DAMAGED)
    return Failure(
        Code.AUDIT_UNAVAILABLE,
        f"The order book cannot be used ({error}), so nothing can be looked up. Nothing was sent.",
        next_step=f"Orders can still be read by their id. Tell the operator to look at {place}{_REMEDY[damaged]}.",
    )
