"""What `book sync` brings up to date: a list of sources, each of which yields order ids with how they became known.

A further source is one more asynchronous generator in `SOURCES`. An order that two of them name is read once. Hints
come before all of them: see `hinted`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from kustom_mcp.app import App
from kustom_mcp.book.finding import Search
from kustom_mcp.book.wanted import Wanted
from kustom_mcp.gathering import patiently

PAGE = 500

Ids = AsyncGenerator[tuple[str, str]]
"""Order ids, each with the source that the book keeps for an order that it has not met before."""


async def stale(app: App, before: int) -> Ids:
    """Orders in doubt, and open ones that were read before this time (unix milliseconds), the soonest to expire first.

    What was read again is stale no more. What could not be read is met again, and passed over."""
    seen, most = set[str](), PAGE
    while True:
        found = await patiently(
            lambda most=most: app.book.ask(
                lambda page, account: Search(page, account, Wanted(), app.settings.order_scope).stale(
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


SOURCES: tuple[Callable[[App, int], Ids], ...] = (stale,)
