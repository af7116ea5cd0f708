"""Finding the shop of an order among those that a caller may see: from the order book, else by asking all of them.

What a caller may not see is left out before anything is looked up, so that another shop's order looks like one that
does not exist. Only reads are ever sent to find a shop. Who knew an order is remembered, and for a minute who did not.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

import anyio

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import App
from kustom_mcp.app.fair_queue import QueueTimeout
from kustom_mcp.app.health import SILENT
from kustom_mcp.app.shops import OpenShop, Shops
from kustom_mcp.book import Book
from kustom_mcp.calls.messages import too_fast
from kustom_mcp.calls.upstream_errors import order_not_found
from kustom_mcp.schema.result import Code, ToolError

MOST_ASKED = 10
"""Unknown orders that one call asks all shops about."""
ASK_SECONDS = 10.0
"""The time that a shop has to say whether it knows an order."""
GRACE = 1.0
"""Seconds that the other shops still have when one has found the order."""
MISSES_LAST = 60.0
_REMEMBERED = 20_000

AccountKey = tuple[str, str, str]
"""Environment, API origin and merchant."""

log = logging.getLogger(__name__)


@dataclass
class Asking:
    """The questions of one call to all shops. `brought`: the orders that were read by asking, by shop."""

    left: int = MOST_ASKED
    brought: dict[tuple[str, str], Order] = field(default_factory=dict[tuple[str, str], Order])


@dataclass(frozen=True)
class Candidate:
    """A shop that a caller may see. `hides`: whether an order is out of the caller's scope there."""

    open: OpenShop
    hides: Callable[[str], bool]


class ShopFinder:
    """The finding of shops in one server."""

    def __init__(self, shops: Shops) -> None:
        self._shops = shops
        self._known: OrderedDict[str, frozenset[AccountKey]] = OrderedDict()
        self._missed: OrderedDict[tuple[str, AccountKey], float] = OrderedDict()

    async def find(self, order_id: str, among: Mapping[str, Candidate], caller: str, asking: Asking) -> str:
        """The name of the shop of an order. ToolError NOT_FOUND, SHOP_REQUIRED, SHOP_UNAVAILABLE."""
        seen = {name: one for name, one in among.items() if not one.hides(order_id)}
        sandboxed = all(one.open.app.settings.sandboxed for one in among.values())
        if not seen:
            raise order_not_found(sandboxed=sandboxed)
        if len(seen) == 1:
            return next(iter(seen))
        known = await self._who_knows(order_id, seen)
        if not known:
            known = await self._ask(order_id, seen, caller, asking)
        if len(known) > 1:
            raise several_know(known)
        if not known:
            raise order_not_found(sandboxed=sandboxed)
        return known[0]

    def remember(self, order_id: str, one: OpenShop) -> None:
        """Remember that the account of a shop knows an order: its name may be another's tomorrow."""
        self._known[order_id] = self._known.pop(order_id, frozenset()) | {one.shop.account}
        self._missed.pop((order_id, one.shop.account), None)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def forget(self, order_id: str, one: OpenShop) -> None:
        """Forget that a shop knew an order: it has just said that there is none, whatever its book says."""
        left = self._known.pop(order_id, frozenset[AccountKey]()) - {one.shop.account}
        if left:
            self._known[order_id] = left
        self._miss(order_id, one)

    async def _who_knows(self, order_id: str, seen: Mapping[str, Candidate]) -> list[str]:
        accounts = self._known.get(order_id, frozenset[AccountKey]())
        remembered = {name for name, one in seen.items() if one.open.shop.account in accounts}
        others = seen.keys() - remembered - self._missing(order_id, seen)
        books: dict[str, Book] = {name: one.open.app.book for name, one in seen.items() if name in others}
        in_books = await Book.holders(books, order_id)
        return [name for name in seen if name in remembered or name in in_books]

    async def _ask(self, order_id: str, seen: Mapping[str, Candidate], caller: str, asking: Asking) -> list[str]:
        missed = self._missing(order_id, seen)
        asked = {name: one for name, one in seen.items() if name not in missed}
        if not asked:
            return []
        pace = self._shops.rate_limiter
        if pace is not None and (wait := pace.wait(caller)):
            raise too_fast(ceil(wait))
        if asking.left <= 0:
            raise too_many_unknown(list(seen))
        asking.left -= 1
        found: dict[str, Order] = {}
        silent: set[str] = set(asked)

        async def ask(name: str, one: OpenShop) -> None:
            try:
                found[name] = await self._read(order_id, one, caller)
                scope.deadline = min(scope.deadline, anyio.current_time() + GRACE)
            except NotFound:
                self._miss(order_id, one)
            except (OmsError, QueueTimeout):
                return
            silent.discard(name)

        with anyio.move_on_after(ASK_SECONDS) as scope:
            async with anyio.create_task_group() as group:
                for name, candidate in asked.items():
                    group.start_soon(ask, name, candidate.open)
        for name, order in found.items():
            self.remember(order_id, seen[name].open)
            asking.brought[order_id, name] = order
        if not found and silent:
            raise _silent({name: one for name, one in seen.items() if name in silent})
        return [name for name in seen if name in found]

    async def _read(self, order_id: str, one: OpenShop, caller: str) -> Order:
        """Read an order in a shop. NotFound, or another OmsError or QueueTimeout where it did not answer."""
        app: App = await self._shops.opened(one)
        end = app.clock() + ASK_SECONDS
        asked = app.wall()
        try:
            async with app.concurrency.slot(caller, within=ASK_SECONDS):
                order = await app.client.read(GET_ORDER, deadline=end, order_id=order_id)
        except NotFound:
            app.book.doubt(order_id, since=asked)
            raise
        app.book.note(order, read_at=asked)
        return order

    def _missing(self, order_id: str, seen: Mapping[str, Candidate]) -> set[str]:
        """The shops that have said within the last minute that there is no such order."""
        since = self._shops.clock() - MISSES_LAST
        return {name for name, one in seen.items() if self._missed.get((order_id, one.open.shop.account), -inf) > since}

    def _miss(self, order_id: str, one: OpenShop) -> None:
        self._missed.pop((order_id, one.shop.account), None)
        self._missed[order_id, one.shop.account] = self._shops.clock()
        while len(self._missed) > _REMEMBERED:
            self._missed.popitem(last=False)


def several_know(shops: Sequence[str]) -> ToolError:
    """SHOP_REQUIRED: an order id that more than one shop knows."""
    named = f"{', '.join(shops[:-1])} and {shops[-1]}"
    return ToolError(
        Code.SHOP_REQUIRED,
        f"{len(shops)} shops know this order id: {named}.",
        field="shop",
        next_step="Ask the person which shop is meant, and call again with `shop`.",
    )


def too_many_unknown(shops: Sequence[str]) -> ToolError:
    """SHOP_REQUIRED: all shops were asked about so many unknown orders that the rest has to wait."""
    return ToolError(
        Code.SHOP_REQUIRED,
        f"Which shop knows this order is not known, and one call asks all of them about {MOST_ASKED} orders at most. "
        f"The shops are {', '.join(shops)}.",
        field="shop",
        next_step="Call again with `shop`, or with fewer order ids.",
    )


def _silent(shops: Mapping[str, Candidate]) -> ToolError:
    """The error for shops that did not answer, which are noted to fail."""
    for one in shops.values():
        one.open.app.note_health(one.open.failing or SILENT)
    return unavailable(list(shops))


def unavailable(silent: Sequence[str]) -> ToolError:
    """SHOP_UNAVAILABLE: none of the shops that answered knows the order, and these did not answer."""
    named = ", ".join(silent)
    one = len(silent) == 1
    return ToolError(
        Code.SHOP_UNAVAILABLE,
        f"No shop that answered knows this order, and {'this one' if one else 'these'} did not answer: {named}.",
        field="shop",
        next_step="Say that the order may be there, not that it does not exist. Try again in a minute; if it stays so, "
        "the operator's command `shops` of kustom-mcp says what is wrong.",
    )
