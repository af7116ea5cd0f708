"""kustom_refund_order: give money back."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import REFUND_ORDER
from kustom_mcp.api.models import Order
from kustom_mcp.api.order_rules import kept, max_amount
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import plausibility, third_party
from kustom_mcp.orders.entries import EntryKind
from kustom_mcp.orders.facts import more_than_left
from kustom_mcp.schema.arguments import (
    Currency,
    Description,
    Money,
    OrderId,
    OrderLines,
    Reason,
    Reference,
    RefundPicks,
)
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.text import quoted
from kustom_mcp.tools.amounts import RequestedAmount, line_facts, refund_amount, short, unbooked
from kustom_mcp.tools.tool import Effect, operation

Refunded = Annotated[Money, Field(description="Minor units (100 = 1.00), tax included. Never means everything.")]
Text = Annotated[Description, Field(description="Shown to the customer. No links.")]
Mark = Annotated[
    Reference, Field(description="Shop's own reference, for settlement files; another one is another refund.")
]
Kept = Annotated[Money, Field(description="Fee kept back, minor units; needs lines.")]
LISTED = 5


def _refunds(order: Order) -> list[int]:
    return sorted(refund.refunded_amount or 0 for refund in order.refunds)


WATCH = Watch(
    depends=lambda order: [
        order.status,
        order.captured_amount,
        order.refunded_amount,
        _refunds(order),
        line_facts(order),
    ],
    shows=lambda order: [order.captured_amount, order.refunded_amount, _refunds(order)],
    entry=EntryKind.REFUND,
)


@operation(REFUND_ORDER, Effect.MOVES_MONEY, toolset="refunds", payload=("refund",), label="Refund")
async def refund_order(
    call: Call,
    order_id: OrderId,
    refunded_amount: Refunded | None = None,
    lines: RefundPicks | None = None,
    order_lines: OrderLines | None = None,
    return_fee: Kept | None = None,
    reason: Reason | None = None,
    currency: Currency | None = None,
    description: Text | None = None,
    reference: Mark | None = None,
) -> Result:
    """Refund (credit) captured money for a return, a complaint or a price reduction. Send lines for goods, or
    refunded_amount for money that belongs to none. It cannot be taken back; what is not captured yet is lowered
    with kustom_update_order_amount."""
    if reason is None and call.app.settings.refund_reasons == "required":
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "The operator of this server wants a reason for every refund.",
            next_step="Ask the person why this is refunded, and call again with reason.",
            field="reason",
        )
    order = await call.order(order_id, WATCH)
    call.same_currency(order, currency)
    call.require(REFUND_ORDER, order)
    given = refund_amount(order, refunded_amount, lines, order_lines, return_fee)
    named = "refunded_amount" if refunded_amount is not None or lines is None else "lines"
    call.require(REFUND_ORDER, order, given.amount, field=named)
    call.policy.within_ceiling(given.amount, order.currency, "refunded_amount")
    optional: dict[str, Json] = {
        "description": description,
        "reference": reference,
        "order_lines": given.order_lines,
    }
    body: dict[str, Json] = {"refunded_amount": given.amount}
    body |= {name: value for name, value in optional.items() if value is not None}
    warnings = [*given.asked, *plausibility.currencies(order, (description, reason)), *_warnings(order, given)]
    approved = await call.approval(_proposal(order, given, body, warnings, reason))
    written = await call.write(
        REFUND_ORDER,
        approved,
        body,
        contradicted=unbooked(order, "refunded_amount", given.amount),
        order_id=order_id,
    )
    result, after = await call.applied(f"Refunded {show(given.amount, order.currency)} of {short(order)}.")
    made = [refund for refund in after.refunds if refund.refund_id == written.new_id] if after else []
    facts = third_party.refund_facts(made[0]) if made else {"refunded_amount": given.amount}
    result.payload = {"refund": {**({"refund_id": written.new_id} if written.new_id else {}), **facts}}
    return result


def _proposal(
    order: Order, given: RequestedAmount, body: dict[str, Json], warnings: list[str], reason: str | None
) -> Proposal:
    refunded = order.refunded_amount + given.amount
    return Proposal(
        action="refund",
        amount=given.amount,
        currency=order.currency,
        effect=f"Refund {show(given.amount, order.currency)} of {short(order)} to the customer.",
        afterwards="A refund cannot be taken back.",
        expects=[order.captured_amount, refunded, sorted([*_refunds(order), given.amount])],
        body=body,
        changes=[{"field": "refunded_amount", "before": order.refunded_amount, "after": refunded}],
        warnings=warnings,
        details=[f"Reason: {quoted(reason, 200)}."] if reason else [],
    )


def _warnings(order: Order, given: RequestedAmount) -> list[str]:
    beyond = more_than_left(REFUND_ORDER.name, order, given.amount)
    warnings = [*beyond, *_refunded(order), *given.warnings]
    owed = max_amount(REFUND_ORDER.name, order)
    if owed is not None and given.amount > owed and not beyond:
        fees = show(kept(order), order.currency)
        warnings.append(f"{show(owed, order.currency)} is owed at most: {fees} was kept back as a return fee.")
    if given.order_lines is None:
        warnings.append("Without lines this refund is not allocated to items.")
    return warnings


def _refunded(order: Order) -> list[str]:
    """The warning of the refunds that are on the order already, the last ones by amount and date."""
    if not order.refunds:
        return []
    made: list[str] = []
    for refund in order.refunds[-LISTED:]:
        when = third_party.cleaned((refund.refunded_at or "")[:10])
        made.append(f"{show(refund.refunded_amount or 0, order.currency)}{f' on {when}' if when else ''}")
    more = len(order.refunds) - LISTED
    before = f", and {more} more before these" if more > 0 else ""
    return [f"Refunded on this order already: {', '.join(made)}{before}."]
