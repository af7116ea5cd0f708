"""The part of `book sync` that follows hints: orders that somebody has named and nobody has read yet.

A server that takes webhooks follows them by itself. Others wait here: those of a server that is down, and the orders
that settlements have named to servers that listen to nobody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from kustom_mcp.app.app import App
from kustom_mcp.book import Entry, hints
from kustom_mcp.book import completeness as feed
from kustom_mcp.book.hints import Claimed
from kustom_mcp.book.sqlite import Page
from kustom_mcp.cli.book.bulk_read import Ends, Piece, Then
from kustom_mcp.cli.book.runner import patiently


async def hinted(app: App) -> AsyncGenerator[Piece]:
    """What waits, within scope. A hint is settled in the transaction that puts its order into the book."""
    if app.simulator is not None:  # the embedded sandbox announces its orders as webhooks would
        for order_id in app.simulator.store.announced():
            app.simulator.store.heard([order_id])
            yield Piece(0, order_id, feed.WEBHOOK)
    scope = app.settings.order_scope
    for claimed in await patiently(lambda: app.book.ask(hints.waiting)):
        hint = claimed.hint
        if scope is None or hint.order_id in scope:
            yield Piece(0, hint.order_id, hint.source, hint.disputed, _then(app, claimed))


def _then(app: App, claimed: Claimed) -> Then:
    def then(page: Page, account: int, ends: Ends, entries: list[Entry]) -> None:
        now = app.book.time()
        if ends is Ends.READ:
            hints.followed(page, account, claimed, entries, now)
        elif ends is Ends.REJECTED:
            hints.absent(page, account, claimed, now)
        else:
            hints.unread(page, account, claimed, now)

    return then
