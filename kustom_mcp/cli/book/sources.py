"""The sources of `book sync`: asynchronous generators of order ids, each with how the order became known.

A further source is one more generator. An order that two of them name is read once. Hints come before all of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TypeVar

import anyio

from kustom_mcp.api.endpoint import PATTERNS, Read
from kustom_mcp.api.settlements import LARGEST_PAGE, LIST_PAYOUTS, LIST_TRANSACTIONS, ListPage
from kustom_mcp.app.app import App
from kustom_mcp.book import completeness, hints
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry
from kustom_mcp.book.hints import ClaimedHint
from kustom_mcp.book.imports import read_since
from kustom_mcp.book.query import Query
from kustom_mcp.book.search import Search
from kustom_mcp.cli.book.bulk_read import PER_SECOND, Piece, ReadOutcome, Then
from kustom_mcp.cli.book.runner import patiently

PAGE = 500

Ids = AsyncGenerator[tuple[str, str]]
"""Order ids, each with the source that the book keeps for an order that it has not met before."""
Source = Callable[[App, int], Ids]
Listing = TypeVar("Listing", bound=ListPage)


async def hinted(app: App) -> AsyncGenerator[Piece]:
    """Read the orders that a hint has named and that no process has read yet, within scope.

    A server that takes webhooks follows hints by itself. Others wait here: those of a server that is down, and the
    orders that settlements have named to servers that take no webhooks. A hint is removed in the transaction that puts
    its order into the book.
    """
    for order_id in app.book.announced():
        app.book.heard([order_id])
        yield Piece(0, order_id, completeness.WEBHOOK)
    scope = app.settings.order_scope
    for claimed in await patiently(lambda: app.book.ask(hints.waiting)):
        hint = claimed.hint
        if scope is None or hint.order_id in scope:
            yield Piece(0, hint.order_id, hint.source, hint.disputed, _then(app, claimed))


def _then(app: App, claimed: ClaimedHint) -> Then:
    def then(tx: BookTransaction, account: int, ends: ReadOutcome, entries: list[BookEntry]) -> None:
        now = app.book.time()
        if ends is ReadOutcome.READ:
            hints.followed(tx, account, claimed, entries, now)
        elif ends is ReadOutcome.REJECTED:
            hints.absent(tx, account, claimed, now)
        else:
            hints.unread(tx, account, claimed, now)

    return then


async def stale(app: App, before: int) -> Ids:
    """Orders in doubt, and open ones that were read before this time (unix milliseconds), the soonest to expire first.

    What was read again is stale no more. What could not be read is met again, and passed over."""
    seen, most = set[str](), PAGE
    while True:
        found = await patiently(
            lambda most=most: app.book.ask(
                lambda tx, account: Search(tx, account, Query(), app.settings.order_scope).stale(
                    "expires_at", most, before
                )
            )
        )
        new = [order_id for order_id in found if order_id not in seen]
        seen.update(new)
        for order_id in new:
            yield order_id, "call"
        if not new:
            if len(found) < most:
                return
            most += PAGE


SOURCES: tuple[Source, ...] = (stale,)


def paid_out(since: int) -> Source:
    """Orders in payouts since this time (unix milliseconds) that the book does not know, payout by payout.

    OmsError where settlements cannot be read: the credentials may lack the permission."""

    async def unknown(app: App, _: int) -> Ids:
        start = datetime.fromtimestamp(since // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        async with aclosing(_pages(app, LIST_PAYOUTS, start_date=start)) as pages:
            async for page in pages:
                for reference in (payout.payment_reference for payout in page.payouts):
                    # By a reference that cannot be one nothing can be asked for.
                    if PATTERNS["payment_reference"].fullmatch(reference):
                        for order_id in await _not_known(app, reference):
                            yield order_id, "settlement"

    return unknown


async def _not_known(app: App, payment_reference: str) -> list[str]:
    """The orders of a payout that the book does not know, and may."""
    scope = app.settings.order_scope
    named: dict[str, None] = {}
    async with aclosing(_pages(app, LIST_TRANSACTIONS, payment_reference=payment_reference)) as pages:
        async for page in pages:
            named |= dict.fromkeys((entry.order_id or "").lower() for entry in page.transactions)
    found = [one for one in named if PATTERNS["order_id"].fullmatch(one) and (scope is None or one in scope)]
    known = await patiently(lambda: app.book.ask(lambda tx, account: read_since(tx, account, found, 0)))
    return [order_id for order_id in found if order_id not in known]


async def _pages(app: App, endpoint: Read[Listing], **asked: str) -> AsyncGenerator[Listing]:
    """The pages of a list of the Settlements API, at the usual pace."""
    seen, more = 0, True
    while more:
        deadline = app.clock() + app.settings.timeout
        page = await app.client.read(endpoint, deadline=deadline, size=str(LARGEST_PAGE), offset=str(seen), **asked)
        seen += len(page.entries)
        more = page.more_after(seen)
        yield page
        await anyio.sleep(0 if app.settings.sandboxed else 1 / PER_SECOND)
