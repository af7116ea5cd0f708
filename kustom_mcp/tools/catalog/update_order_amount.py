"""kustom_update_order_amount: a new total, with the lines that make it up."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import UPDATE_AUTHORIZATION
from kustom_mcp.api.field_limits import MAX_AMOUNT
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import plausibility
from kustom_mcp.orders.facts import reported
from kustom_mcp.orders.line_amounts import stored_lines
from kustom_mcp.schema.arguments import Currency, Description, LineChanges, OrderId, OrderLines
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.tools.amount_change import amount_change, expected, shown, unchanged
from kustom_mcp.tools.amounts import line_facts, short
from kustom_mcp.tools.tool import Effect, operation

NewTotal = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="New total, minor units (100 = 1.00), tax included.")]
Why = Annotated[Description, Field(description="Why it changes. No links.")]

WATCH = Watch(
    depends=lambda order: [order.status, order.order_amount, order.captured_amount, line_facts(order)],
    shows=shown,
    recurs=True,
)


@operation(UPDATE_AUTHORIZATION, Effect.REPLACES, toolset="orders", label="Change amount and lines")
async def update_order_amount(
    call: Call,
    order_id: OrderId,
    order_amount: NewTotal | None = None,
    order_lines: OrderLines | None = None,
    line_changes: LineChanges | None = None,
    description: Why | None = None,
    currency: Currency | None = None,
) -> Result:
    """Change what an order consists of and costs before it is captured: remove goods, change a quantity or a price,
    add a line. Send line_changes, or order_amount with the complete order_lines. For money that is captured already
    use kustom_refund_order."""
    order = await call.order(order_id, WATCH)
    call.same_currency(order, currency)
    wanted = amount_change(call, order, order_amount, order_lines, line_changes)
    if wanted.total == order.order_amount and wanted.lines == stored_lines(order):
        call.already(f"{short(order).capitalize()} has this amount and these lines already.")
    call.require(UPDATE_AUTHORIZATION, order, wanted.total, field="order_amount")
    if wanted.total > order.order_amount:
        call.policy.within_ceiling(wanted.total, order.currency, "order_amount")
    body: dict[str, Json] = {"order_amount": wanted.total, "order_lines": wanted.lines}
    if description is not None:
        body["description"] = description
    asked = [*wanted.asked, *plausibility.currencies(order, (description,))]
    before, after = show(order.order_amount, order.currency), show(wanted.total, order.currency)
    approved = await call.approval(
        Proposal(
            action="update-amount",
            amount=wanted.total,
            currency=order.currency,
            effect=f"Change the amount of {short(order)} from {before} to {after}.",
            afterwards="The old lines are replaced; Kustom keeps no copy of them.",
            expects=expected(order, wanted),
            body=body,
            changes=wanted.changes,
            warnings=[*asked, *reported(order), *wanted.warnings],
        )
    )
    await call.write(
        UPDATE_AUTHORIZATION, approved, body, contradicted=lambda now: unchanged(order, wanted, now), order_id=order_id
    )
    result, now = await call.applied(
        f"Changed the amount of {short(order)} to {after}.", warnings=(*asked, *wanted.warnings)
    )
    if now is not None and shown(now) == expected(order, wanted):
        result.changes = [*result.changes, *wanted.quantities]
    return result
