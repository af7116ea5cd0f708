"""Reading settlements within a call: every page of a list up to a bound, and the payouts that transactions name.

Whatever is seen here tells of orders that exist, so their ids become hints for the order book.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio

from kustom_mcp.api.endpoint import PATTERNS
from kustom_mcp.api.settlements import (
    GET_PAYOUT,
    LARGEST_PAGE,
    LIST_PAYOUTS,
    LIST_TRANSACTIONS,
    SUM_PAYOUTS,
    Payout,
    PayoutSummary,
    Transaction,
    Transactions,
)
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.result import Code, ToolError

MOST_PAGES: Final = 4
"""Pages of LARGEST_PAGE that one call reads at most."""
MOST_PAYOUTS: Final = 5
"""Payouts that one call reads for their dates at most: an order is mostly in one, with a return in two."""
SOURCE: Final = "settlement"
"""The source that the order book notes for these orders."""


async def all_transactions(call: Call, **asked: str) -> tuple[list[Transaction], bool]:
    """The transactions within the bound, and whether these are all."""
    found: list[Transaction] = []
    for _ in range(MOST_PAGES):
        page = await call.read(LIST_TRANSACTIONS, size=str(LARGEST_PAGE), offset=str(len(found)), **asked)
        hint_orders(call, page.transactions)
        found += page.transactions
        if not page.more_after(len(found)):
            return found, True
    return found, False


async def all_payouts(call: Call, **asked: str) -> tuple[list[Payout], bool]:
    """The payouts within the bound, and whether these are all."""
    found: list[Payout] = []
    for _ in range(MOST_PAGES):
        page = await call.read(LIST_PAYOUTS, size=str(LARGEST_PAGE), offset=str(len(found)), **asked)
        found += page.payouts
        if not page.more_after(len(found)):
            return found, True
    return found, False


async def summed_payouts(call: Call, wanted: dict[str, str]) -> list[PayoutSummary]:
    """The sums of the payouts of a period, by Kustom. None are known where it does not tell them."""
    until = datetime.fromtimestamp(call.app.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        return await call.read(SUM_PAYOUTS, **{"end_date": until, **wanted})
    except ToolError:
        return []


async def page_of(call: Call, payment_reference: str, offset: int, limit: int) -> tuple[Payout, Transactions]:
    """A payout, and a page of its transactions, read at the same time."""
    payouts: list[Payout] = []
    pages: list[Transactions] = []
    failures: list[ToolError] = []

    async def read_payout() -> None:
        try:
            payouts.append(await call.read(GET_PAYOUT, payment_reference=payment_reference))
        except ToolError as failure:
            failures.insert(0, failure)

    async def read_page() -> None:
        asked = {"payment_reference": payment_reference, "size": str(limit), "offset": str(offset)}
        try:
            pages.append(await call.read(LIST_TRANSACTIONS, **asked))
        except ToolError as failure:
            failures.append(failure)

    async with anyio.create_task_group() as group:
        group.start_soon(read_payout)
        group.start_soon(read_page)
    if failures:
        raise failures[0]
    hint_orders(call, pages[0].transactions)
    return payouts[0], pages[0]


async def no_such_payout(call: Call, payment_reference: str) -> ToolError | None:
    """The error when Kustom knows no payout of this reference; None where it knows one, or cannot be asked."""
    try:
        await call.read(GET_PAYOUT, payment_reference=payment_reference)
    except ToolError as failure:
        return failure if failure.code is Code.NOT_FOUND else None
    return None


async def payouts_of(call: Call, transactions: Sequence[Transaction]) -> dict[str, Payout]:
    """The payouts that transactions name, as far as they can be read: their dates are worth a read, not a failure."""
    named = dict.fromkeys(entry.payment_reference for entry in transactions if entry.payment_reference)
    found: dict[str, Payout] = {}
    for reference in list(named)[:MOST_PAYOUTS]:
        if PATTERNS["payment_reference"].fullmatch(reference):
            try:
                found[reference] = await call.read(GET_PAYOUT, payment_reference=reference)
            except ToolError:
                continue
    return found


def hint_orders(call: Call, transactions: Iterable[Transaction]) -> None:
    """Tell the order book of the orders."""
    for entry in transactions:
        order_id = (entry.order_id or "").lower()
        if PATTERNS["order_id"].fullmatch(order_id):
            call.app.book.hint(order_id, SOURCE)
