"""kustom_list_transactions: the settled sales, returns and fees of an order or a payout."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from kustom_mcp.api.settlements import GET_PAYOUT, LIST_TRANSACTIONS, Transaction
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders import payouts as payout_facts
from kustom_mcp.orders import repayment
from kustom_mcp.schema.arguments import OrderId, PaymentReference
from kustom_mcp.schema.cursor import NEXT, behind_the_end, next_cursor, start_of
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.over_shops import each
from kustom_mcp.tools.settlements import all_transactions, no_such_payout, page_of, payouts_of
from kustom_mcp.tools.tool import Effect, operation

USUAL = 20

Limit = Annotated[int, Field(ge=1, le=100, description="Rows, default 20.")]
Cursor = Annotated[str, Field(max_length=200, description="next_cursor of the last answer.")]


@operation(
    LIST_TRANSACTIONS,
    Effect.READS,
    toolset="settlements",
    payload=("transactions", "payouts", "totals settled", "next_cursor"),
)
async def list_transactions(
    call: Call,
    order_id: OrderId | None = None,
    payment_reference: PaymentReference | None = None,
    limit: Limit | None = None,
    cursor: Cursor | None = None,
) -> Result:
    """List what Kustom settled: the sales, returns and fees of one order, or of one payout. Use it to say when and
    how much the shop was paid for an order, or where a refund is; the net is assumed from the types. For payouts use
    kustom_list_payouts."""
    asked: dict[str, Json] = {"order_id": order_id, "payment_reference": payment_reference}
    start = start_of(cursor, asked)
    end = start + (limit or USUAL)
    if order_id is not None:
        return await _of_order(call, order_id, payment_reference, asked, start, end)
    if payment_reference is None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Either order_id or payment_reference is needed.",
            field="order_id",
            next_step="Ask the person which order, or for the payment reference on the bank statement.",
        )
    one = await _shop_of(call, payment_reference)
    result = await _of_payout(one, payment_reference, asked, start, end)
    result.shop = one.shop if call.shops else None
    return result


async def _shop_of(call: Call, payment_reference: str) -> Call:
    """The call for the shop that a payout was made to. ToolError."""
    calls = call.over_shops()
    for one in calls.values():
        one.policy.require_all_orders()
    if len(calls) == 1:
        return next(iter(calls.values()))
    found, _ = await each(calls, lambda one: one.read(GET_PAYOUT, payment_reference=payment_reference))
    if len(found) > 1:
        raise ToolError(
            Code.SHOP_REQUIRED,
            f"{len(found)} shops have a payout of this reference: {', '.join(found)}.",
            field="shop",
            next_step="Ask the person which shop is meant, and call again with `shop`.",
        )
    return calls[next(iter(found))]


async def _of_payout(call: Call, payment_reference: str, asked: dict[str, Json], start: int, end: int) -> Result:
    payout, page = await page_of(call, payment_reference, start, end - start)
    if start and not page.transactions:
        raise behind_the_end()
    row = payout_facts.payout_row(payout)
    further = page.more_after(start + len(page.transactions))
    rows, typed = payout_facts.transaction_rows(page.transactions, of_order=False)
    payload: dict[str, Json] = {"transactions": rows, "payouts": [row]}
    if further:
        payload["next_cursor"] = next_cursor(asked, start + len(page.transactions))
    summary = f"{payout_facts.payout_in_words(payout)} {_shown(len(page.transactions), page.pagination.total)}"
    return Result("ok", summary, None, typed, payload=payload, next_step=_next(payload))


async def _of_order(
    call: Call, order_id: str, payout: str | None, asked: dict[str, Json], start: int, end: int
) -> Result:
    """Everything of one order is read, so that its totals are those of the order, whatever part of it is shown. With
    `payout` only what is in that one is shown."""
    call.require_scope(order_id)
    found, complete = await all_transactions(call, order_id=order_id)
    part = [entry for entry in found if payout in (None, entry.payment_reference)]
    if start and start >= len(part):
        raise behind_the_end()
    # What else is in a payout, or whether there is one, is nothing for somebody to whom only certain orders exist.
    all_orders = call.policy.scope is None
    unknown = await no_such_payout(call, payout) if payout and not part and all_orders else None
    if found:
        read = await payouts_of(call, [*part, *found])
        whole = {name: one.totals.settlement_amount for name, one in read.items() if all_orders}
        totals, payouts = payout_facts.order_totals(found), payout_facts.order_payouts(found, read)
        today = call.app.now().date().isoformat()
        summary = payout_facts.paid_out(totals, payouts, whole, today, payout)
        summary = f"{summary} {await _refunds(call, order_id, found, today)}".rstrip()
    else:
        totals, payouts, order = [], [], await call.order(order_id)
        summary = f"Not paid out as far as Kustom lists transactions: there are none. {order_facts.summary(order)}"
        refunds = repayment.refunds_in_words(order, 0, call.app.now().date().isoformat())
        summary = f"{summary} {refunds}".rstrip()
    if not complete:
        totals, payouts = [], []
        summary = f"Too many transactions to add up: {len(found):,} were read, and there are more."
    if payout and not part:
        summary = f"{_nothing_in(payout, unknown, complete=complete)} {summary}"
    shown = part[start:end]
    rows, typed = payout_facts.transaction_rows(shown, of_order=True)
    payload: dict[str, Json] = {"transactions": rows, "payouts": payouts, "totals": totals}
    if end < len(part):
        payload["next_cursor"] = next_cursor(asked, end)
    if len(shown) < len(part):
        summary = f"{summary} {_shown(len(shown), len(part))}"
    next_step = unknown.next_step if unknown else _next(payload)
    return Result("ok", summary, None, typed, payload=payload, next_step=next_step)


async def _refunds(call: Call, order_id: str, found: Sequence[Transaction], today: str) -> str:
    """Where the refunds of the order are; "" where it has none, or cannot be read."""
    try:
        order = await call.order(order_id)
    except ToolError:
        return ""
    return repayment.refunds_in_words(order, sum(abs(entry.amount) for entry in found if entry.type == "RETURN"), today)


def _nothing_in(payout: str, unknown: ToolError | None, *, complete: bool) -> str:
    if unknown:
        return f"Kustom knows no payout {payout} for these credentials."
    return f"Nothing of {'this order' if complete else 'what was read of this order'} is in payout {payout}."


def _shown(shown: int, total: int | None) -> str:
    count = f" of {total:,}" if total is not None and total != shown else ""
    return f"{shown}{count} transaction{'' if (total or shown) == 1 else 's'} shown."


def _next(payload: dict[str, Json]) -> str | None:
    return NEXT if "next_cursor" in payload else None
